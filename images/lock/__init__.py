"""The lock file: read, validate, update, write and mirror the pinned inputs of every image."""
