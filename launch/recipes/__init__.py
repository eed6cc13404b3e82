"""Recipes in the schema of vllm-project/recipes: schema, loader, repository, strategies, images. Pure."""
