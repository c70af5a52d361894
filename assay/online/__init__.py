"""Features online: stores that hold stretches of histories, how they are filled, and what they answer."""
