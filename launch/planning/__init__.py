"""Make a plan: select what runs, build the command, check layout and memory. Pure."""
