"""`assay catalog`: all features, whose they are, who uses them and what they hold, as a static site."""
