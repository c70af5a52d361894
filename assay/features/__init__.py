"""Feature views: list them, find their columns, and write their YAML."""
