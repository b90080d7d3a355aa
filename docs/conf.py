"""Sphinx configuration."""

import conceptome

project = "Conceptome"
author = "The Conceptome developers"
version = release = conceptome.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Conceptome"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_type_aliases = {}
napoleon_google_docstring = False
napoleon_custom_sections = ["Writes"]
napoleon_use_rtype = False
