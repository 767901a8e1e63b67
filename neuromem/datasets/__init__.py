"""Readers of data sets on this machine; nothing here downloads."""

from neuromem.datasets.files import data_folder, digits, locate, mnist, omniglot_background, omniglot_runs
from neuromem.datasets.human_memory import ebbinghaus_savings, murre_dros_savings, peers_free_recall
from neuromem.datasets.silhouettes import Weizmann, weizmann

__all__ = [
    "Weizmann",
    "data_folder",
    "digits",
    "ebbinghaus_savings",
    "locate",
    "mnist",
    "murre_dros_savings",
    "omniglot_background",
    "omniglot_runs",
    "peers_free_recall",
    "weizmann",
]
