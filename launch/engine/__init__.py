"""The container engine (Docker or podman): client, servers, containers, images, installation."""
