"""Talk to a container registry: references, manifests, blobs, copies."""
