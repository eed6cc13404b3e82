"""What GPUs and CPU this host has: one module a vendor, each a function from a root folder to facts."""
