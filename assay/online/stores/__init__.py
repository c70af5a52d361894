"""Where features are online: SQLite within a file, Redis for several machines."""
