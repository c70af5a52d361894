"""Online stores: a SQLite file for one machine, Redis for several machines."""
