"""What a container may access: profiles, GPU devices, the documented flags, seccomp. Pure."""
