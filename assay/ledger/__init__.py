"""Record what each build did, and show it: runs, nodes, contracts and landed rows."""
