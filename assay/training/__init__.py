"""Make, list, compare, verify and export versions of training sets."""
