"""Run `vllm bench serve` in a server's container and record the result."""
