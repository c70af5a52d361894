"""Online stores: a SQLite file for one machine, Redis, Postgres or DynamoDB for several."""
