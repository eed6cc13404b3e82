"""Launch a vLLM server: plan, weights, container, readiness, diagnosis, benchmark."""
