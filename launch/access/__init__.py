"""What a container may use: profiles, GPU devices, the guide's documented flags, seccomp. Pure."""
