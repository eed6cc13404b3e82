"""Prometheus and a Grafana dashboard for a plan, as parts of a Compose file or as Kubernetes objects. Pure."""
