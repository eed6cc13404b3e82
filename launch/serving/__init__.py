"""A running server: readiness, OpenAI-compatible client, metrics, API key."""
