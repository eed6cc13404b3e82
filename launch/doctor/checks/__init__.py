"""The checks: facts in, findings out, without looking at the host."""
