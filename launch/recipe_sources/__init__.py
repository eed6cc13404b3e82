"""Recipe sources: folders and Git repositories in the layout of vllm-project/recipes, pinned and kept on this host."""
