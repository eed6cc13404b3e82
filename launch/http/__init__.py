"""The HTTP client: connections, proxies, ranges and retries."""
