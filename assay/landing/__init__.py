"""Landing: files dropped by sources become rows, once each, with every line accounted for."""

from assay.landing.declared import LandingTable, declared_tables
from assay.landing.load import load_new_files

__all__ = ["LandingTable", "declared_tables", "load_new_files"]
