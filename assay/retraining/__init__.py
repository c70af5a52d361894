"""Decide which training sets need retraining, and take versions of them."""
