from .building import build as build
from .checking import check as check
from .checking import describe as describe
from .checking import is_atlas as is_atlas
from .contents import Contents as Contents
from .reader import Atlas as Atlas
from .tables import finding_table as finding_table
from .writing import write as write
