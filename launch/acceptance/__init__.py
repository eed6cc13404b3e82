"""Test whether a running server answers correctly: text, reasoning, tool calls, context, limits and its API."""
