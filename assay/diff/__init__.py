"""Review a change: what it does to the rows of the warehouse, to contracts and to training sets."""
