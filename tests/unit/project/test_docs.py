"""The commands, paths, links and names in README and docs match the code; the site needs no network."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from launch.recipes.repository import BUILTIN
from scripts import generate_reference
from tasks import ns
from tests.conftest import ROOT
from tests.unit.project.command_lines import (
    Line,
    check_command_line,
    check_slipway,
    lines_of,
    simple_commands,
)

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS]
LINES = [line for path in PAGES for line in lines_of(path)]
FOLDERS = ("tutorial", "how-to", "reference", "explanation")
# Options of vllm serve, docker and other programs that the pages name.
FOREIGN = re.compile(
    r"--(compilation-config|data-parallel-size|enable-auto-tool-choice|enable-expert-parallel|enforce-eager|flag"
    r"|gpu-memory-utilization|hf-overrides|ignore-eos|insecure-ignore-tlog|ipc|kv-cache-memory-bytes|load-format|max-num-batched-tokens|max-num-seqs|model-loader-extra-config"
    r"|network|option|privileged|reasoning-parser|rm|rounds|safetensors-load-strategy"
    r"|tensor-parallel-size|tool-call-parser|trust-remote-code)"
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def inline_code(path: Path) -> Iterator[str]:
    """Yield the code between backquotes of a page, outside of code blocks."""
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose)


@pytest.mark.parametrize("line", LINES, ids=str)
def test_docs_command_line_is_valid(line: Line) -> None:
    check_command_line(line.text)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_docs_command_between_backquotes_is_valid(path: Path) -> None:
    for code in inline_code(path):
        words = code.split()
        if words[0] in ("slipway", "invoke") and re.match(r"[a-z-]", "".join(words[1:2])):
            if words[2:] or words[1].startswith("-"):
                check_slipway(words[0], shlex.split(code)[1:])
            else:  # the name of a command
                assert words[1] in ns.tasks, code
        elif words[0] == "make" and words[1:]:
            check_command_line(code)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_docs_option_exists(path: Path) -> None:
    known = {f"--{option.flag}" for task in ns.tasks.values() for option in task.options}
    known |= {"--help", "--version", "--list", "--config", "--print-completion-script"}
    if path.name == "CHANGELOG.md":  # it names options of earlier versions
        known |= {"--cure", "--contract", "--patience"}
    named = [code.split()[0].partition("=")[0] for code in inline_code(path) if code.startswith("--")]
    assert not [flag for flag in named if flag not in known and not FOREIGN.fullmatch(flag)]


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_docs_path_of_the_repository_exists(path: Path) -> None:
    below = (
        r"(?:tests|examples|launch|images|commands|benchmarks|docs|scripts|requirements|\.github)/[\w./*-]+"
    )
    named = [
        code for code in inline_code(path) if re.fullmatch(below, code) and not re.search(r"[A-Z]{3}", code)
    ]
    assert not [name for name in named if not list(ROOT.glob(name.rstrip("/")))]


RUNNABLE = re.compile(
    # Needs no GPU, engine or network.
    r"(slipway|invoke) (plan .*--hardware|recipes\b(?! (list|add|update|remove))|build .*--dry-run)"
)


@pytest.mark.parametrize("text", sorted({line.text for line in LINES if RUNNABLE.search(line.text)}))
def test_docs_plan_runs(text: str, tmp_path: Path) -> None:
    shutil.copytree(BUILTIN, tmp_path / "recipes" / "models")
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for words in simple_commands(text.replace("~", str(tmp_path))):
        argv = [sys.executable, "-m", "commands.entry_point", *words[1:]]
        done = subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout or "--render" in words


def test_docs_pages_are_of_one_kind_each() -> None:
    kinds = {path.relative_to(ROOT / "docs").parts[0] for path in DOCS}
    assert kinds == {*FOLDERS, "index.md", "status.md"}


def test_docs_index_lists_every_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text()
    missing = [
        page
        for page in DOCS
        if f"({page.relative_to(ROOT / 'docs')})" not in text and page.name != "index.md"
    ]
    assert not missing


def test_docs_environment_page_lists_the_variables_in_the_code() -> None:
    text = (ROOT / "docs/reference/environment.md").read_text()
    code = "".join(
        p.read_text() for folder in ("commands", "launch", "images") for p in (ROOT / folder).rglob("*.py")
    )
    named = set(re.findall(r"\"(SLIPWAY_[A-Z]+(?:_[A-Z]+)*)\"", code))
    assert not [name for name in named if f"`{name}`" not in text]


@pytest.mark.parametrize("path", [path for path in PAGES if path not in DOCS], ids=relative)
def test_readme_links_resolve(path: Path) -> None:
    for target in re.findall(r"(?:\]\(|src=\"|srcset=\")([^)\"\s#]+)", path.read_text()):
        assert re.match(r"https?:", target) or (path.parent / target).exists(), target


class References(HTMLParser):
    """Collect what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of each script, style, image, font and frame."""
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object"):
            self.loaded.append(given.get("src") or given.get("srcset") or given.get("data") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; --strict fails on a broken link, a missing anchor and a page that is not listed."""
    folder = tmp_path_factory.mktemp("site")
    argv = [
        str(Path(sys.executable).with_name("mkdocs")),
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_site_has_a_page_for_each_document(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert built - {Path("404.md")} == {path.relative_to(ROOT / "docs") for path in DOCS}


def test_site_loads_nothing_from_the_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = References()
        page.feed(text := path.read_text())
        assert not [address for address in page.loaded if re.match(r"(https?:)?//", address)], path.name
        # The script of the theme loads a library from the network for a page with one of these.
        assert not re.search(r'class="(mermaid|[^"]*glightbox)', text), path.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text()), style.name


@pytest.mark.parametrize("path", sorted((ROOT / "docs/assets").glob("*.svg")), ids=relative)
def test_picture_loads_nothing_from_the_network(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@font-face|@import|<script|<image", text)


def test_picture_shows_what_the_command_prints_now(tmp_path: Path) -> None:
    """If this fails, run `make pictures`."""
    (recorded,) = re.findall(r"record_terminal.py (docs/assets/\w+) (.*)", (ROOT / "Makefile").read_text())
    argv = [sys.executable, "scripts/record_terminal.py", str(tmp_path / "plan"), *shlex.split(recorded[1])]
    subprocess.run(argv, cwd=ROOT, check=True)
    for name in ("plan-light.svg", "plan-dark.svg"):
        now, before = tmp_path / name, ROOT / "docs/assets" / name
        assert without_hash(now.read_text()) == without_hash(before.read_text())


def without_hash(text: str) -> str:
    """Remove the hash of an image's inputs, which changes with every file of the image."""
    return re.sub(r"(slipway/vllm-[a-z-]+:[\w.-]+-)[0-9a-f]{12}", r"\1HASH", text)


def test_reference_is_what_the_code_says() -> None:
    """If this fails, run `make reference`."""
    assert (ROOT / "docs/reference/commands.md").read_text() == generate_reference.commands_page()
    assert (ROOT / "docs/reference/settings.md").read_text() == generate_reference.settings_page()
    assert (ROOT / "docs/reference/bench-record.md").read_text() == generate_reference.record_page()
