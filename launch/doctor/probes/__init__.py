"""The probes: read the engine, the kernel, the Hub and the network into facts, without changing anything."""
