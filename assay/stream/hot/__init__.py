"""Keep what is online up to date between builds: messages go through the project's own SQL."""
