"""Plans on a Kubernetes cluster, through the official client: checks, server-side apply, status, removal."""
