"""The colours of a page by role, for light and dark. A chart is drawn in the light ones; SVG names the role instead.

Text has a contrast of 4.5 or more to the background, lines of 3 or more (WCAG 2.2).
"""

from __future__ import annotations

LIGHT = {
    "paper": "#fdfdfc",
    "ink": "#1c2024",
    "soft": "#5b636b",
    "rule": "#d5d9dd",
    "panel": "#f3f4f6",
    "good": "#116329",
    "bad": "#a40e26",
    "accent": "#0550ae",
    "band": "#cfdcec",
    "area": "#d3e8d6",
    "s1": "#0a5cc4",
    "s2": "#b4470e",
    "s3": "#1a7f42",
    "s4": "#7a3fc0",
    "s5": "#9a6701",
    "s6": "#a6256f",
}
DARK = {
    "paper": "#14171a",
    "ink": "#e7eaed",
    "soft": "#a2abb4",
    "rule": "#363c43",
    "panel": "#1d2126",
    "good": "#5fd07f",
    "bad": "#ff8f8a",
    "accent": "#7db8ff",
    "band": "#233850",
    "area": "#1d3a26",
    "s1": "#6cb0ff",
    "s2": "#f79a5b",
    "s3": "#62ce83",
    "s4": "#c39bff",
    "s5": "#e0b341",
    "s6": "#f58cc6",
}
SERIES = tuple(f"s{i}" for i in range(1, 7))


def variables(colours: dict[str, str]) -> str:
    """Return the colours as CSS variables."""
    return "".join(f"--{role}:{value};" for role, value in colours.items())
