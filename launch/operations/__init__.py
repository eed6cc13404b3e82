"""Use cases that the commands call and that a Python program can import."""
