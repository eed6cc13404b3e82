"""The lock file: read, validate, refresh, write and mirror the pinned inputs of every image."""
