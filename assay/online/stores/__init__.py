"""Online stores: a SQLite file for one machine, Redis or Postgres for several machines."""
