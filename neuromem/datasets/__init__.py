"""Readers of data sets on this machine; nothing here downloads."""

from neuromem.datasets.files import data_folder, digits, locate, mnist, omniglot_background, omniglot_runs

__all__ = ["data_folder", "digits", "locate", "mnist", "omniglot_background", "omniglot_runs"]
