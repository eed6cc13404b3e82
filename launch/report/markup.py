"""Build HTML from values: a text is escaped, unless it is Markup that was built here."""

from __future__ import annotations

import html
import re

from launch.spec.control_characters import FORBIDDEN

_FORBIDDEN_IN_PRE = re.compile(f"(?!\n){FORBIDDEN.pattern}")


class Markup(str):
    """HTML that is complete and safe."""

    __slots__ = ()


def escape(text: str) -> str:
    """Return a text for a quoted attribute, without control characters."""
    return html.escape(FORBIDDEN.sub(" ", text), quote=True)


def escape_content(text: str) -> str:
    """Return a text for the content of an element. Quotes stay, which halves JSON; line breaks stay in `pre`."""
    return html.escape(_FORBIDDEN_IN_PRE.sub(" ", text), quote=False)


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """Return an element. `class_` and `aria_label` are the attributes `class` and `aria-label`."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value
    )
    inner = "".join(child if isinstance(child, Markup) else escape_content(child) for child in children)
    return Markup(f"<{tag}{given}>{inner}</{tag}>")
