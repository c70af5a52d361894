"""How the schema of what lands differs from what is declared: found, recorded, and dealt with by mode."""
