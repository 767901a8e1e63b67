"""How the pages are built: ``python -m sphinx -W -b html docs build/docs``; nothing is fetched."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# the package beside these pages, not another that is installed; and the modules beside this file
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ.setdefault("MPLBACKEND", "Agg")

import neuromem  # noqa: E402

project = "neuromem"
author = "neuromem authors"
copyright = "2026, neuromem authors"
version = release = neuromem.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "rendering",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
templates_path = ["templates"]
nitpicky = True
# docstrings that classes inherit name the class that they are written in
nitpick_ignore_regex = [("py:meth", r"(CodeMemory|Estimator)\.\w+")]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
doctest_global_setup = "from neuromem.sparsey.encode import binarize, thermometer"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "generated/gallery",
    "filename_pattern": r"\.py$",
    "reset_argv": "gallery.quick_form",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
}

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"neuromem {release}"
html_copy_source = False
html_show_sourcelink = False
