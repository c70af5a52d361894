"""`assay report`: what ran, what broke and how the data is, as one HTML file that needs no network."""
