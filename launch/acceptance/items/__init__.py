"""The items of an acceptance test: each sends requests through a session and returns a finding."""
