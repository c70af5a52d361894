"""Search chunks of documents: an index of words and of vectors, in a file of its own, as of any moment."""
