"""The formats of landed files, a module each."""
