"""Run `vllm bench serve` inside a server's container and record the result."""
