"""Send alerts to people when something breaks, stays broken or recovers, and at no other time."""
