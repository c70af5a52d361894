"""Which training sets call for training anew, and what was taken because of it."""
