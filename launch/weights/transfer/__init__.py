"""Bring the bytes: scheduler, workers, partial files, blob locks."""
