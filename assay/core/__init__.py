"""What everything else rests on: faults, moments, places, locks, SQL and files."""
