"""`invoke plan` and `invoke recipes`: what would run, and why."""
