"""The container engine (Docker or podman): client, containers, images, log stream, installation."""
