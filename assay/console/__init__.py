"""Print for people: tables, messages and progress."""
