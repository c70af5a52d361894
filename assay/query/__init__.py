"""Many readers of what is published, over the network."""
