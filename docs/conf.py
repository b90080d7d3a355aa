"""Sphinx configuration."""

import re

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
napoleon_google_docstring = False
napoleon_custom_sections = ["Writes"]
napoleon_use_rtype = False
suppress_warnings = ["ref.python"]  # A[k, g] is no cross-reference


def escape_bars(app, what, name, obj, options, lines):
    """Keep |x| in docstrings an absolute value; reStructuredText would substitute it."""
    lines[:] = [re.sub(r"(?<![`\\])\|(?!`)", r"\\|", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
