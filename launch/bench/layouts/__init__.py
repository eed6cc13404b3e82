"""Find the fastest layout of a model on this host: short starts of all, then repeated starts of the best."""
