"""Load the files that sources drop into the landing zone: each file once, and each line is counted."""

from assay.landing.declared import LandingTable, declared_tables, lands_files
from assay.landing.load import load_new_files

__all__ = ["LandingTable", "declared_tables", "lands_files", "load_new_files"]
