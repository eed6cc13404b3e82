"""Publish an image: test results, push by digest, SBOM, provenance, signature, tags."""
