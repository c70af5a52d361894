"""Personal data: what is declared so, how its keys are hashed, and how people are shown it."""
