"""How what lands has changed, shown to people, and accepted by them."""
