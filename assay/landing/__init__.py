"""Landing: files dropped by sources become rows, once each, with every line accounted for."""

from assay.landing.declared import LandingTable, declared_tables, lands_files
from assay.landing.load import load_new_files

__all__ = ["LandingTable", "declared_tables", "lands_files", "load_new_files"]
