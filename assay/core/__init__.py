"""The lowest floor, which all other packages use: faults, moments, places, locks, SQL and files."""

from assay.core.no_pandas import hasten_imports_of_pandas

hasten_imports_of_pandas()
