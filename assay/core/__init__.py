"""The lowest floor, which all other packages use: faults, moments, places, locks, SQL and files."""
