"""The project in this repository as a code location of Dagster: `make dagster` opens it."""

from pathlib import Path

from assay.dagster import definitions

defs = definitions(Path(__file__).parents[2])
