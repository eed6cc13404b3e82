"""The HTTP API of image registries: references, manifests, blobs, copies."""
