"""Read the formats of landed files, one module for each format."""
