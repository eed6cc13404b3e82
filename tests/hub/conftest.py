"""A small model, served on loopback with whatever faults a test asks for, and a cache to fetch it into."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import weights
from launch.http.retry import RetryPolicy
from launch.hub_server import serve_folder
from launch.hub_server.repository import read_repository
from launch.weights.sources.offline import source_of

MODEL = "harbour/dinghy"
BIG = "model-00001-of-00003.safetensors"
SIZES = {
    BIG: (20 << 20) + 4321,
    "model-00002-of-00003.safetensors": (3 << 20) + 1,
    "model-00003-of-00003.safetensors": 8 << 20,
    "config.json": 700,
    "nested/deeper/notes.txt": 12_345,
    "empty.txt": 0,
}
# As in the field, in less time: a second of silence is long on loopback.
QUICK = RetryPolicy(attempts=5, first=0.02, longest=0.1, most_asked=5, connect=2, silence=1.0, talk=2.0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to serve, with MODEL in it."""
    root = tmp_path_factory.mktemp("served")
    bytes_of = random.Random(6)
    for name, size in SIZES.items():
        at = root / MODEL / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(bytes_of.randbytes(size))
    return root


@pytest.fixture(scope="session")
def commit(folder: Path) -> str:
    return read_repository(folder, MODEL).commit


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token and no settings of whoever runs the tests."""
    hub = ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_HUB_CACHE")
    network = (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    )
    for name in hub + network:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def fetch(cache: Path) -> Callable[..., weights.Snapshot]:
    """`weights.fetch` of MODEL into the test's cache, with little patience."""

    def run(endpoint: str, **options: object) -> weights.Snapshot:
        settings = {"cache": cache, "endpoint": endpoint, "patience": QUICK, **options}
        return weights.fetch(MODEL, **settings)  # type: ignore[arg-type]

    return run


@pytest.fixture
def assert_whole(folder: Path) -> Callable[[Path], None]:
    """Assert that a snapshot has every file of MODEL, to the byte, and nothing else."""

    def compare(snapshot: Path) -> None:
        found = {at.relative_to(snapshot).as_posix() for at in snapshot.rglob("*") if not at.is_dir()}
        assert found == set(SIZES)
        for name in SIZES:
            assert (snapshot / name).read_bytes() == (folder / MODEL / name).read_bytes(), name

    return compare


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> weights.Snapshot:
    """MODEL in a cache of its own."""
    with serve_folder(folder) as hub:
        return weights.fetch(MODEL, cache=tmp_path / "elsewhere", endpoint=hub.url)


def carried(given: Path | str, cache: Path) -> weights.Snapshot:
    """MODEL, fetched from what `--from` would name."""
    return weights.fetch(MODEL, cache=cache, source=source_of(str(given), MODEL), patience=QUICK)
