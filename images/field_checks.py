"""Types of checked strings (hashes, digests, commits), and one-line messages for values that fail a check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from launch.checked_data.value_checks import Pattern

if TYPE_CHECKING:
    from pydantic import ValidationError

Sha256 = Annotated[str, Pattern(r"^[0-9a-f]{64}$")]
OptionalSha256 = Annotated[str, Pattern(r"^([0-9a-f]{64})?$")]
Digest = Annotated[str, Pattern(r"^sha256:[0-9a-f]{64}$")]
Commit = Annotated[str, Pattern(r"^([0-9a-f]{40})?$")]
FullCommit = Annotated[str, Pattern(r"^[0-9a-f]{40}$")]
Name = Annotated[str, Pattern(r"^[a-z][a-z0-9]{0,19}$")]

_MESSAGES = {  # by the pattern of the field, else by pydantic's type of error
    "missing": "is missing",
    "unexpected_keyword_argument": "unknown key",
    "extra_forbidden": "unknown key",
    "literal_error": "must be {expected}",
    "dataclass_type": "must be a mapping",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "json_invalid": "is not valid JSON",
    "too_short": "must not be empty",
    r"^[0-9a-f]{64}$": "must be 64 hex digits",
    r"^([0-9a-f]{64})?$": "must be 64 hex digits",
    r"^([0-9a-f]{40})?$": "must be 40 hex digits",
    r"^[0-9a-f]{40}$": "must be 40 hex digits",
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$": "must be organization/name",
    r"^sha256:[0-9a-f]{64}$": "must be sha256: and 64 hex digits",
    r"^[a-z][a-z0-9]{0,19}$": "must be a name of up to 20 lower-case letters and digits",
}
_WITHOUT_VALUE = ("missing", "extra_forbidden", "unexpected_keyword_argument", "json_invalid")


def first_error(error: ValidationError) -> str:
    """Describe the first failed check in one line: the key, what it must be, and the value."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "the document"
    context = fault.get("ctx", {})
    message = _MESSAGES.get(context.get("pattern", fault["type"]), "").format(**context) or fault["msg"]
    value = "" if fault["type"] in _WITHOUT_VALUE else f", not {str(fault['input'])[:80]!r}"
    return f"{key}: {message}{value}"
