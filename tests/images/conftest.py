"""A started container of each image under test, and a record of the ones that passed whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from images.build import context
from images.publish import test_results


@pytest.fixture(scope="class")
def image() -> str:
    """The tag under test; each class says which."""
    raise NotImplementedError


@pytest.fixture(scope="class")
def attrs(engine: Any, image: str) -> dict[str, Any]:
    """What the engine knows of the image."""
    found: dict[str, Any] = engine.images.get(image).attrs
    return found


@pytest.fixture(scope="class")
def host(engine: Any, image: str) -> Iterator[Any]:
    """The inside of a container that only sleeps, through testinfra."""
    import testinfra

    container = engine.containers.run(
        image, entrypoint=["sleep", "1200"], command=[], detach=True, network_mode="none"
    )
    yield testinfra.get_host(f"docker://{container.id}")
    container.remove(force=True)


@pytest.fixture(scope="class")
def as_root(engine: Any, image: str) -> Callable[[str], str]:
    """A shell line run as root in a container of its own: what it said."""

    def run(line: str) -> str:
        said: bytes = engine.containers.run(
            image,
            entrypoint=["sh", "-c"],
            command=[f"{line}; true"],
            user="0",
            network_mode="none",
            remove=True,
        )
        return said.decode().strip()

    return run


@pytest.fixture(scope="session")
def builders_places() -> list[str]:
    """Where this host's pip finds packages: such words have no place in an image."""
    settings = context.pip_settings()
    named = " ".join(settings.get(key, "") for key in ("index-url", "extra-index-url", "find-links", "proxy"))
    return [place for place in named.split() if place not in ("/", "file:///")]


@pytest.fixture(scope="class", autouse=True)
def recorded(request: pytest.FixtureRequest, image: str, attrs: dict[str, Any]) -> Iterator[None]:
    """After a class that ran whole and passed: `results/images/<id>.json`, which publishing asks for."""
    before = request.session.testsfailed
    yield
    cls = request.cls
    if cls is None or not getattr(cls, "recorded", False) or request.session.testsfailed > before:
        return
    ran = {item.name for item in request.session.items if getattr(item, "cls", None) is cls}
    if ran >= {name for name in dir(cls) if name.startswith("test_")}:
        test_results.record(attrs["Id"], image, sorted(ran))
