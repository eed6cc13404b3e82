"""What a running server does at this moment, engine by engine, from its /metrics page."""
