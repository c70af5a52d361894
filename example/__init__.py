"""Demo data: a year in the life of an invented online retailer, as its systems would land it."""

from example.generator import generate

__all__ = ["generate"]
