"""Replace what identifies people, hosts and secrets in a log: the same text gets the same placeholder everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# Names that everybody's logs contain; they identify no user.
_PUBLIC_HOSTS = re.compile(
    r"(?:^|\.)(?:huggingface\.co|hf\.co|hf-mirror\.com|github\.com|githubusercontent\.com|pytorch\.org|nvidia\.com|"
    r"amd\.com|docker\.io|docker\.com|quay\.io|ghcr\.io|nvcr\.io|vllm\.ai|kubernetes\.io|python\.org|"
    r"modelscope\.cn|xethub\.com|example\.(?:com|org|net)|cluster\.local|localdomain)$"
)
_CODE_SUFFIX = re.compile(
    r"\.(?:py|pyx|pxi|cc|cpp|cu|cuh|h|hpp|so|json|yaml|yml|log|txt|sh|safetensors|bin|gguf|js|service|slice|jinja|"
    r"c|go|rs|lock|egg|whl|dat|model|conf|toml|md|attr|ops|nn|exceptions|errors|cuda|utils)$"
)
_SECRETS = (
    re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{8,}"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{8,}|\bgh[pousr]_[A-Za-z0-9]{16,}|\bglpat-[\w-]{16,}|\bnvapi-[\w-]{16,}"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b|\bxox[abpr]-[\w-]{10,}"),
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(
        r"(?i)(?<=bearer )[\w.~+/=-]{6,}|(?<=basic )[\w+/=]{12,}",
    ),
)
_NAMED_SECRET = re.compile(
    r"(?i)(?P<name>(?:api[_-]?keys?|\btoken|[a-z]+_token|passw(?:or)?d|secret\w*|credentials?|access[_-]?key\w*)"
    r"['\"]?\s*[=:]\s*)(?!\d+\b)"
    r"(?P<value>'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^\s,;})\"']+)"
)
_PROMPT = re.compile(
    r"(?P<name>\bprompt: )(?P<value>'.*?'|\".*?\")(?=, (?:params|sampling|prompt_token_ids))"
)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]|-\w)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])|\[?[0-9a-fA-F:]{2,}::[0-9a-fA-F:.]*\]?"
)
_LOCAL = ("127.", "0.0.0.0", "255.")
_HOME = re.compile(r"/(?:home|Users|scratch|users)/(?P<name>[^/\s]+)")
_PATH = re.compile(r"(?<![\w.:/<])/(?:[^/\s'\"`:,;()\[\]{}<>|=]+/)+[^/\s'\"`:,;()\[\]{}<>|=]*")
_PACKAGES = re.compile(
    r"/(?:site|dist)-packages/|/lib/python3[\d.]*/|^/(?:dev|proc|sys|usr|opt/(?:rocm|vllm|venv)|bin|lib\w*|etc|tmp|var/run|"
    r"pytorch|workspace/csrc|v1)/|/api/|/v1/"
)
_HOST = re.compile(r"(?<![\w./@-])(?:[a-zA-Z0-9](?:[\w-]*[a-zA-Z0-9])?\.)+[a-zA-Z]{2,}(?![\w(/])")
_HOST_FIELDS = re.compile(
    r"(?P<before>^|\s)(?P<name>[\w.-]+)(?=:\d+:\d+ \[\d+\] )|"  # NCCL: host:pid:tid [device]
    r"(?<=\[)(?P<ucx>[\w.-]+)(?=:\d+ +:\d+\])|"  # UCX: [host:pid :0]
    r"(?P<journal>^[A-Z][a-z]{2} +\d+ [\d:]{8} )(?P<host>\S+)(?= [^\s\[]+\[\d+\]:)"
)


class Redactor:
    """Replace private text line by line, with numbered placeholders."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    def redact(self, text: str) -> str:
        """Return a line without secrets, prompts, users, hosts, addresses and private paths."""
        for pattern in _SECRETS:
            text = pattern.sub("<secret>", text)
        text = _NAMED_SECRET.sub(lambda match: f"{match['name']}<secret>", text)
        text = _PROMPT.sub(lambda match: f"{match['name']}<prompt>", text)
        text = _EMAIL.sub(self._placeholder("user"), text)
        text = _HOST_FIELDS.sub(self._host_field, text)
        text = _PATH.sub(self._path, text)
        text = _HOST.sub(self._host, text)
        text = _IPV4.sub(self._address, text)
        text = _IPV6.sub(self._address, text)
        return self._known_names(text)

    def _name(self, kind: str, private: str) -> str:
        names = self._known.setdefault(kind, {})
        return names.setdefault(private, f"<{kind}-{len(names) + 1}>")

    def _placeholder(self, kind: str) -> Callable[[re.Match[str]], str]:
        return lambda match: self._name(kind, match[0])

    def _host_field(self, match: re.Match[str]) -> str:
        name = match["name"] or match["ucx"] or match["host"]
        return f"{match['before'] or match['journal'] or ''}{self._name('host', name)}"

    def _host(self, match: re.Match[str]) -> str:
        public = _PUBLIC_HOSTS.search(match[0]) or _CODE_SUFFIX.search(match[0]) or not _is_host(match[0])
        return match[0] if public else self._name("host", match[0])

    def _address(self, match: re.Match[str]) -> str:
        local = match[0].startswith(_LOCAL) or match[0] in ("::", "[::]", "::1")
        return match[0] if local else self._name("address", match[0])

    def _path(self, match: re.Match[str]) -> str:
        """Keep what is of a package or of the system, and replace the folders of anything else."""
        path = match[0]
        if home := _HOME.match(path):
            self._name("user", home["name"])
        if package := re.search(r"/(?:site|dist)-packages/|/lib/python3[\d.]*/|/(?=vllm/)", path):
            return f"<path>{path[package.start() :]}"
        if _PACKAGES.search(path):
            return path
        folder, _, file = path.rpartition("/")
        return (
            f"{self._name('path', folder)}/{file if _CODE_SUFFIX.search(file) else self._name('file', file)}"
        )

    def _known_names(self, text: str) -> str:
        """Replace users and hosts that were found elsewhere and now stand alone."""
        for kind in ("user", "host"):
            for private, placeholder in self._known.get(kind, {}).items():
                if len(private) > 2 and private in text:
                    text = re.sub(rf"(?<![\w<-]){re.escape(private)}(?![\w>])", placeholder, text)
        return text


def redact_lines(lines: Iterable[str]) -> list[str]:
    """Redact all lines with the same placeholders. Names that a later line reveals are replaced in earlier ones."""
    redactor = Redactor()
    once = [redactor.redact(line) for line in lines]
    return [redactor.redact(line) for line in once]


def _is_host(name: str) -> bool:
    """Whether dotted text is a host and not a Python name: its last part is a known domain of the internet or a LAN."""
    top = name.rpartition(".")[2].lower()
    return top in _TOP_DOMAINS


_TOP_DOMAINS = frozenset(
    re.split(
        r"\s+",
        "com org net edu gov io ai dev cloud app co de fr uk cn jp kr in ru ch nl se no fi dk it es pl br ca au eu "
        "at be tw hk sg local lan internal intern corp home private svc cluster localnet test invalid example",
    )
)
