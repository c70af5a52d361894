"""What every build did, kept for good: runs, nodes, contracts and what landed."""
