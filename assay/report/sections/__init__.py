"""The sections of the page, each in a module: what it reads, and what it says of it."""
