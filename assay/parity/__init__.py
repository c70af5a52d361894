"""Prove that online features equal those that training sets join, by asking both the same questions."""
