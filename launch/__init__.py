"""What we run: recipes, plans, access, engines, readiness, weights."""
