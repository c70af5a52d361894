"""Serve features online: fill stores with parts of histories, and answer requests from them."""
