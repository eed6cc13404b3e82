"""Train the tokenizer of the tiny model: byte-level BPE with the markers of MiniMax-M2."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

BOS, TURN, EOS = "]~!b[", "]~b]", "[e~["
MARKERS = ("<think>", "</think>", "<minimax:tool_call>", "</minimax:tool_call>")

# A name has the same tokens after a space and after a tag, so that it can be copied from a question to a tool call:
# only words in lower case include the space before them, and a digit is a word.
WORDS = r" ?\p{Ll}+|\p{Lu}\p{Ll}*|\p{Lo}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


def write(folder: Path, texts: Iterable[str], vocabulary: int) -> dict[str, int]:
    """Write a tokenizer with exactly `vocabulary` entries; return the ids of its markers."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    special = (BOS, TURN, EOS)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(special) - len(MARKERS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in MARKERS])
    tokenizer.save(str(folder / "tokenizer.json"))
    ids: dict[str, int] = tokenizer.get_vocab()
    return {word: ids[word] for word in (*special, *MARKERS)}
