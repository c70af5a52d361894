"""The command line: nothing but commands and their arguments."""

from assay.cli.app import app as app
