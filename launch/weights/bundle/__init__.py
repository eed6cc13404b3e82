"""A snapshot in one file, for offline hosts: its format, writing, and reading."""
