"""The command line: nothing but commands and their arguments."""

from assay.cli.main import app as app
