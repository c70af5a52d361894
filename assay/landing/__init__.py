"""Load the files that sources drop into the landing zone: each file once, and each line is counted."""
