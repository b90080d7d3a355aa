from .annotate import activate as activate
from .annotate import embed as embed
from .explain import attribute as attribute
from .explain import enrich as enrich
