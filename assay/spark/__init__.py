"""Past one machine: which nodes are computed key by key, and Spark, which does so on many machines."""
