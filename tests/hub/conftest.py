"""A small model to serve on loopback, and an empty cache to fetch it into."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.http.retry import RetryPolicy
from launch.hub_server.model_folder import read_repository
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot
from launch.weights.sources.offline import source_of
from tests.hub.faults import serve_folder

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
# The default policy with shorter times: a second of silence is long on loopback.
QUICK = RetryPolicy(
    attempts=5,
    first_wait=0.02,
    longest_wait=0.1,
    longest_retry_after=5,
    connect_timeout=2,
    read_timeout=1.0,
    metadata_timeout=0.9,
    response_timeout=2.0,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MODEL, to serve."""
    root = tmp_path_factory.mktemp("served")
    content = random.Random(6)
    for name, size in SIZES.items():
        path = root / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.randbytes(size))
    return root


@pytest.fixture(scope="session")
def commit(folder: Path) -> str:
    return read_repository(folder, MODEL).commit


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the token and the settings of the user who runs the tests."""
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
def fetch(cache: Path) -> Callable[..., Snapshot]:
    """Fetch MODEL into the test's cache, with short timeouts."""

    def run(endpoint: str, **options: object) -> Snapshot:
        settings = {"cache": cache, "endpoint": endpoint, "policy": QUICK, **options}
        return fetch_model(MODEL, **settings)  # type: ignore[arg-type]

    return run


@pytest.fixture
def assert_complete(folder: Path) -> Callable[[Path], None]:
    """Assert that a snapshot has exactly the files of MODEL, with the right content."""

    def compare(snapshot: Path) -> None:
        paths = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if not path.is_dir()}
        assert paths == set(SIZES)
        for name in SIZES:
            assert (snapshot / name).read_bytes() == (folder / MODEL / name).read_bytes(), name

    return compare


@pytest.fixture
def elsewhere(folder: Path, tmp_path: Path) -> Snapshot:
    """Fetch MODEL into another cache, `elsewhere`."""
    with serve_folder(folder) as hub:
        return fetch_model(MODEL, cache=tmp_path / "elsewhere", endpoint=hub.url)


def fetch_from(given: Path | str, cache: Path) -> Snapshot:
    """Fetch MODEL from a source as `--from` names it."""
    return fetch_model(MODEL, cache=cache, source=source_of(str(given), MODEL), policy=QUICK)
