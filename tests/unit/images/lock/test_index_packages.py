"""Packages that the index no longer has, told from an index that does not answer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable

import pytest

from errors import Failed
from images.lock import index_packages, requirements, wheel_index
from launch.http.client import NotFound

ONE, OTHER = "1" * 64, "2" * 64
TEXT = f"""\
networkx==3.6.1 ; python_full_version < '3.12' \\
    --hash=sha256:{ONE}
networkx==3.7 ; python_full_version >= '3.12' \\
    --hash=sha256:{ONE}
six==1.17.0 \\
    --hash=sha256:{ONE}
torch==2.13.0+cpu \\
    --hash=sha256:{OTHER}
"""
TORCH = {"torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl": OTHER}
# Messages of uv 0.13.
NO_VERSION = """\
error: No solution found when resolving dependencies for split (markers: python_full_version >= '3.12')
  cause: Because there is no version of networkx{python_full_version >= '3.12'}==3.7 and you require
  networkx{python_full_version >= '3.12'}==3.7, we can conclude that your requirements are unsatisfiable."""
NO_PACKAGE = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the package registry and you require six==1.17.0, we can conclude that your
  requirements are unsatisfiable."""
REFUSED = f"""{NO_PACKAGE}

hint: An index URL (http://127.0.0.1/simple) could not be queried due to a lack of valid authentication credentials
(401 Unauthorized)"""
DEAD = """\
error: Request failed after 3 retries in 2.1s
  cause: Failed to fetch: http://127.0.0.1:9/simple/six/"""
Answer = Callable[[list[str]], tuple[int, str]]


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Replace uv: the function gets the requirements and returns the exit status and the output."""

    def replace(answer: Answer) -> None:
        def run(pinned: Iterable[str]) -> subprocess.CompletedProcess[str]:
            status, output = answer(list(pinned))
            return subprocess.CompletedProcess([], status, stdout=output, stderr=output)

        monkeypatch.setattr(requirements, "compile_hashes", run)

    return replace


def compiled(pinned: list[str], sha256: str = ONE) -> tuple[int, str]:
    return 0, "".join(f"{line} \\\n    --hash=sha256:{sha256}\n" for line in pinned)


def test_missing_is_empty_if_the_index_has_every_version(uv: Callable[[Answer], None]) -> None:
    uv(compiled)
    assert index_packages.missing(TEXT, TORCH) == {}


def test_missing_names_each_package_that_uv_does_not_find(uv: Callable[[Answer], None]) -> None:
    def answer(pinned: list[str]) -> tuple[int, str]:
        if any(line.startswith("networkx==3.7") for line in pinned):
            return 1, NO_VERSION
        return (1, NO_PACKAGE) if "six==1.17.0" in pinned else compiled(pinned)

    uv(answer)
    assert list(index_packages.missing(TEXT, TORCH)) == [
        "networkx==3.7 ; python_full_version >= '3.12'",
        "six==1.17.0",
    ]


def test_missing_leaves_out_packages_of_another_index(uv: Callable[[Answer], None]) -> None:
    asked: list[str] = []

    def answer(pinned: list[str]) -> tuple[int, str]:
        asked.extend(pinned)
        return compiled(pinned)

    uv(answer)
    index_packages.missing(TEXT, TORCH)
    assert [line.split("==")[0] for line in asked] == ["networkx", "networkx", "six"]


def test_missing_names_packages_whose_files_were_replaced(uv: Callable[[Answer], None]) -> None:
    uv(lambda pinned: compiled(pinned, OTHER))
    assert set(index_packages.missing(TEXT, TORCH).values()) == {
        "the package index has other files of this version"
    }


def test_missing_accepts_an_index_without_hashes(uv: Callable[[Answer], None]) -> None:
    uv(lambda pinned: (0, "\n".join(pinned)))
    assert index_packages.missing(TEXT, TORCH) == {}


@pytest.mark.parametrize("message", [REFUSED, DEAD])
def test_missing_fails_if_the_index_does_not_answer(uv: Callable[[Answer], None], message: str) -> None:
    uv(lambda pinned: (1, message))
    with pytest.raises(Failed, match="the package index does not answer"):
        index_packages.missing(TEXT, TORCH)


def test_missing_fails_if_the_index_lacks_more_than_a_few_packages(uv: Callable[[Answer], None]) -> None:
    text = "".join(f"p{number}==1 \\\n    --hash=sha256:{ONE}\n" for number in range(50))
    uv(lambda pinned: (1, f"Because {pinned[0].split('==')[0]} was not found in the package registry"))
    with pytest.raises(Failed, match="does not answer"):
        index_packages.missing(text, {})


def test_missing_wheels_compares_the_hashes_of_a_simple_index(monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = TORCH
    listed = {file: OTHER}
    monkeypatch.setattr(wheel_index, "hashes", lambda index, package, pattern: listed)
    assert index_packages.missing_wheels("http://index", TORCH) == {}
    listed[file] = ONE
    assert ONE in index_packages.missing_wheels("http://index", TORCH)[file]
    listed.clear()
    assert index_packages.missing_wheels("http://index", TORCH) == {file: "http://index does not list it"}


def test_missing_wheels_are_all_gone_if_the_index_has_no_such_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(*arguments: object) -> dict[str, str]:
        raise NotFound("http://index/torch/ does not exist (404)")

    monkeypatch.setattr(wheel_index, "hashes", absent)
    assert list(index_packages.missing_wheels("http://index", TORCH)) == list(TORCH)
