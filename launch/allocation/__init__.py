"""Choose the GPUs of this host for a launch, and keep other launches from taking them."""
