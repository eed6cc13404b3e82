"""A started container of each image under test, and a record of the images that passed all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from images import host_settings
from images.capabilities import LABEL
from images.publish import test_results
from launch.spec.capabilities import Capabilities

if TYPE_CHECKING:
    from docker import DockerClient
    from testinfra.host import Host


@pytest.fixture(scope="class")
def image() -> str:
    """The tag under test; every class or module defines its own."""
    raise NotImplementedError


@pytest.fixture(scope="class")
def attrs(engine: DockerClient, image: str) -> dict[str, Any]:
    """The image's attributes, as the engine returns them."""
    return dict(engine.images.get(image).attrs)


@pytest.fixture(scope="class")
def found(attrs: dict[str, Any]) -> Capabilities:
    """The capabilities in the image's label."""
    return Capabilities.from_json(attrs["Config"]["Labels"][LABEL])


@pytest.fixture(scope="class")
def host(engine: DockerClient, image: str) -> Iterator[Host]:
    """The inside of a container that only sleeps, through testinfra."""
    import testinfra

    container = engine.containers.run(
        image, entrypoint=["sleep", "1200"], command=[], detach=True, network_mode="none"
    )
    try:
        yield testinfra.get_host(f"docker://{container.id}")
    finally:
        container.remove(force=True)


@pytest.fixture(scope="class")
def as_root(engine: DockerClient, image: str) -> Callable[[str], str]:
    """Run a shell line as root in a container of its own; return its output."""

    def run(line: str) -> str:
        output = engine.containers.run(
            image,
            entrypoint=["sh", "-c"],
            command=[f"{line}; true"],
            user="0",
            network_mode="none",
            remove=True,
        )
        return output.decode().strip()

    return run


@pytest.fixture(scope="session")
def package_sources() -> list[str]:
    """Where this host's pip finds packages; an image must not contain these addresses."""
    settings = host_settings.pip_settings()
    keys = ("index-url", "extra-index-url", "find-links", "proxy")
    values = " ".join(settings.get(key, "") for key in keys)
    return [value for value in values.split() if value not in ("/", "file:///")]


@pytest.fixture(scope="class", autouse=True)
def recorded(request: pytest.FixtureRequest, image: str, attrs: dict[str, Any]) -> Iterator[None]:
    """Record the image after a complete class of tests that passed; `invoke publish` requires the record."""
    before = request.session.testsfailed
    yield
    cls = request.cls
    if cls is None or not getattr(cls, "recorded", False) or request.session.testsfailed > before:
        return
    ran = {item.name for item in request.session.items if getattr(item, "cls", None) is cls}
    if ran >= {name for name in dir(cls) if name.startswith("test_")}:
        test_results.record(attrs["Id"], image, sorted(ran))
