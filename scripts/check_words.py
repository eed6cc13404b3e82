"""Check the words of docs, docstrings, comments, messages and names against scripts/words.yaml."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = Path(__file__).with_name("words.yaml")
SENTENCE = re.compile(
    r"[A-Za-z]{2,}[,;:]? [a-z]{2,}"
)  # two words: a text for a reader and not a key or a path


class Text(NamedTuple):
    """A piece of prose and the line on which it starts."""

    line: int
    text: str


@dataclass(frozen=True)
class Word:
    """A word to avoid as a regular expression, and what to write instead."""

    word: str
    use: str
    case: bool = False

    def pattern(self) -> re.Pattern[str]:
        """Return the compiled pattern: whole words, and a blank also matches a line break."""
        body = self.word.replace(" ", r"\s+")
        return re.compile(rf"(?<![\w-])(?:{body})(?![\w-])", 0 if self.case else re.IGNORECASE)


@dataclass
class Allowed:
    """A line on which a word may stand, with the reason."""

    file: str
    line: str
    why: str
    used: bool = False

    def covers(self, file: str, line: str) -> bool:
        """Tell whether this exception covers a line, and note that it was needed."""
        hit = Path(file).match(self.file) and re.search(self.line, line) is not None
        self.used = self.used or hit
        return hit


def python_texts(source: str, test: bool) -> Iterator[Text]:
    """Yield comments, docstrings, names, and messages (not in tests, where they quote other programs)."""
    comments: list[tokenize.TokenInfo] = []
    statement_starts = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.append(token)
            continue
        if token.type == tokenize.NL:
            continue
        if comments:
            yield from _blocks([(c.start[0], c.string.lstrip("#! ")) for c in comments])
            comments = []
        if token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            docstring = statement_starts and '"""' in token.string
            if docstring or (not test and _is_message(token.string)):
                yield Text(token.start[0], re.sub(r"\{[^{}]*\}|`[^`]*`", "X", token.string))
        statement_starts = token.type in (
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.ENCODING,
            tokenize.DEDENT,
        )
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield Text(node.lineno, _spaced(node.name))
        elif isinstance(node, ast.arg):
            yield Text(node.lineno, _spaced(node.arg))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Text(node.lineno, _spaced(node.id))


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")


def _is_message(literal: str) -> bool:
    return not re.match(r"(?i)f?[rb]", literal) and SENTENCE.search(literal) is not None


def _blocks(lines: list[tuple[int, str]]) -> Iterator[Text]:
    """Join the lines that follow each other, so that a phrase is found across a line break."""
    start = 0
    for i in range(1, len(lines) + 1):
        if i == len(lines) or lines[i][0] != lines[i - 1][0] + 1:
            yield Text(
                lines[start][0], "\n".join(re.sub(r"`[^`]*`", "X", text) for _, text in lines[start:i])
            )
            start = i


def hash_comments(source: str) -> Iterator[Text]:
    """Yield the comments of a file in which # starts one."""
    found = [
        (i, hit[1])
        for i, line in enumerate(source.splitlines(), 1)
        if (hit := re.search(r"(?:^|\s)#+ (.*)", line))
    ]
    yield from _blocks(found)


def yaml_texts(source: str, skipped: frozenset[str]) -> Iterator[Text]:
    """Yield comments and sentences of a YAML file, except those under a key that holds text of other programs."""
    yield from hash_comments(source)
    pending: list[Any] = list(yaml.compose_all(source, yaml.SafeLoader))
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.ScalarNode):
            if SENTENCE.search(node.value):
                yield Text(node.start_mark.line + 1, re.sub(r"`[^`]*`", "X", node.value))
        elif isinstance(node, yaml.MappingNode):
            pending += [value for key, value in node.value if key.value not in skipped]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value


def markdown_texts(source: str) -> Iterator[Text]:
    """Yield the prose of a Markdown file: everything but code, links' targets and recorded output."""
    fenced, kept = False, []
    for line in source.splitlines():
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        comment = re.search(r"\s# (.*)", line)
        code = (comment[1] if comment else "") if fenced else re.sub(r"\]\([^)]*\)|<[^>]*>", "", line)
        kept.append("" if fence else code)
    text = re.sub(r"(`+)(?!`)[^`]*\1", lambda hit: "X" + "\n" * hit[0].count("\n"), "\n".join(kept))
    yield Text(1, text)


def texts(path: Path, skipped: frozenset[str]) -> Iterator[Text]:
    """Yield what a reader of this file reads as prose."""
    source = path.read_text()
    relative = path.relative_to(ROOT)
    yield Text(1, " ".join(relative.with_suffix("").parts).replace("_", " "))
    if path.suffix == ".py":
        yield from python_texts(source, test=relative.parts[0] == "tests")
    elif path.suffix == ".md":
        yield from markdown_texts(source)
    elif path.suffix in (".yaml", ".yml"):
        yield from yaml_texts(source, skipped)
    elif path.suffix in (".sh", ".toml", ".cfg") or "Dockerfile" in path.name or path.name == "Makefile":
        yield from hash_comments(source)


def tracked(left_out: list[str]) -> list[Path]:
    """Return the files that git knows, without recorded data."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [Path(name) for name in listed.stdout.split("\0") if name]
    return [
        ROOT / n
        for n in names
        if not any(n.match(p) or n.is_relative_to(p) for p in left_out) and (ROOT / n).is_file()
    ]


def findings(files: list[Path], rules: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each word to avoid, and for each exception that is no longer needed."""
    words = [Word(**row) for row in rules["words"]]
    patterns = [(word, word.pattern()) for word in words]
    allowed = [Allowed(**row) for row in rules["allow"]]
    for path in files:
        relative, lines = str(path.relative_to(ROOT)), path.read_text().splitlines()
        for line, text in texts(path, frozenset(rules["skip_keys"])):
            for word, pattern in patterns:
                for hit in pattern.finditer(text):
                    at = line + text.count("\n", 0, hit.start())
                    if not any(row.covers(relative, lines[at - 1] if lines else "") for row in allowed):
                        yield f"{relative}:{at}: '{' '.join(hit[0].split())}': write {word.use}"
    yield from (
        f"{RULES.name}: this exception is not needed: {row.file}: {row.line}"
        for row in allowed
        if not row.used
    )


def _place(finding: str) -> tuple[str, int, str]:
    file, number, text = finding.split(":", 2) if finding.count(":") > 1 else (finding, "", "")
    return file, int(number) if number.isdigit() else 0, text


def main(arguments: list[str]) -> int:
    """Check the named files, or all tracked ones. Return 1 if there is a word to replace."""
    rules = yaml.safe_load(RULES.read_text())
    files = tracked(rules["leave_out"])
    if arguments:
        named = {Path(argument).resolve() for argument in arguments}
        files = [path for path in files if path in named or named & set(path.parents)]
    found = sorted(set(findings(files, rules)), key=_place)
    if arguments:  # an exception for another file is not needed here
        found = [line for line in found if not line.startswith(RULES.name)]
    print("\n".join(found) or f"{len(files)} files: no word to replace")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
