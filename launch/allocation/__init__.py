"""Which GPUs of this host a launch takes, and the reservation that keeps others off them."""
