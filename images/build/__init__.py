"""Build an image from the lock file, read its capabilities, verify and tag it."""
