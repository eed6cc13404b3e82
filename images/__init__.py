"""What we build: the lock, the Dockerfiles of three platforms, the build, the contract."""
