"""Documents: land folders of them, read their text, and cut it into chunks."""
