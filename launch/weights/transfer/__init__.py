"""Transfer files into the cache: scheduler, workers, partial files, blob locks."""
