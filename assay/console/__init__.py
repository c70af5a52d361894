"""How commands speak to people: tables, messages and progress."""
