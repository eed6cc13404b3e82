"""Judge a text: damaged characters, loops, entropy, script and language."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from itertools import pairwise

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SHORTEST_LONG_TEXT = 30  # words; a loop or a language is judged on at least so many
SAME_WORD = 8  # the same word so many times in a row is a loop
MOST_REPEATED = 0.4  # share of the groups of four words that occurred before
ENTROPY = (2.5, 5.5)  # bits a character; English prose has about 4.2
LETTERS_OF_SCRIPT = 0.6
FREQUENT_WORDS = 1 / 6


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[^\W\d_]+", text.lower())


def damage(text: str) -> str:
    """Describe damaged characters in a text; "" if there are none."""
    if count := text.count(REPLACEMENT):
        return f"{count} replacement characters"
    control = [
        char for char in text if unicodedata.category(char) in ("Cc", "Co", "Cn") and char not in "\n\r\t"
    ]
    return f"{len(control)} control or unassigned characters" if control else ""


def loop(text: str) -> str:
    """Describe what a text repeats; "" if it does not loop."""
    words = words_of(text)
    run = 1
    for before, word in pairwise(words):
        run = run + 1 if word == before else 1
        if run >= SAME_WORD:
            return f"'{word[:20]}' {run} times in a row"
    groups = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    repeated = 1 - len(set(groups)) / len(groups) if len(words) >= SHORTEST_LONG_TEXT else 0
    return f"{repeated:.0%} of its groups of four words are repeated" if repeated > MOST_REPEATED else ""


def entropy(text: str) -> float:
    """Return the entropy of the characters of a text, in bits a character."""
    counts = Counter(text).values()
    total = sum(counts)
    return -sum(n / total * math.log2(n / total) for n in counts) if total else 0.0


def share(text: str, frequent: Collection[str]) -> float:
    """Return the share of a text's words that are among the frequent ones."""
    words = words_of(text)
    return sum(word in frequent for word in words) / len(words) if words else 0.0


def script_of(char: str) -> str:
    """Return the script of a letter: the first word of its Unicode name, `han` for Chinese."""
    name = unicodedata.name(char, "")
    return "han" if name.startswith("CJK") else name.split(" ")[0].lower()


def script_share(text: str, script: str) -> float:
    """Return the share of a text's letters that belong to a script."""
    letters = [char for char in text if char.isalpha()]
    return sum(script_of(char) == script for char in letters) / len(letters) if letters else 0.0


def in_language(text: str, script: str, words: Collection[str]) -> bool:
    """Tell whether a text is written in a script and, if words are given, has enough of a language's words."""
    if script_share(text, script) < LETTERS_OF_SCRIPT:
        return False
    return not words or share(text, words) >= FREQUENT_WORDS


def garbled(text: str, english: Collection[str]) -> str:
    """Describe why a long English text is not one; "" if it is."""
    if found := damage(text):
        return found
    words = words_of(text)
    if len(words) < SHORTEST_LONG_TEXT:
        return f"only {len(words)} words"
    bits = entropy(text)
    if not ENTROPY[0] <= bits <= ENTROPY[1]:
        return f"{bits:.1f} bits a character"
    if (latin := script_share(text, "latin")) < LETTERS_OF_SCRIPT:
        return f"{latin:.0%} Latin letters"
    if (common := share(text, english)) < FREQUENT_WORDS:
        return f"{common:.0%} frequent English words"
    return ""
