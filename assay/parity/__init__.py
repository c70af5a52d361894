"""Proof that what is online equals what training sets join: the same questions, asked both ways."""
