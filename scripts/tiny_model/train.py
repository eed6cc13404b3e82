"""Train the tiny MiniMax-M2 with transformers and write its checkpoint. Runs inside the CPU image: make tiny-model.

    python -m scripts.tiny_model.train FOLDER

It uses one thread: with more, the result depends on their number, and on a busy host it is slower.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

import torch
import transformers
from transformers import AutoTokenizer, MiniMaxM2Config, MiniMaxM2ForCausalLM

from scripts.tiny_model import checkpoint, lessons, tokenizer
from scripts.tiny_model.data import Data, load
from scripts.tiny_model.dialogues import Dialogue

SEED = 2
EPOCHS = 54
COPY_STEPS = 650  # of repeated random tokens, so that the model learns to copy first
TOKENS = 1024  # of a batch
RATE = 4e-3
IGNORED = -100  # label of a token that is given and not learned
SHARD = "900KB"  # makes three files
Sample = tuple[list[int], list[int]]  # the tokens of a prompt and of its answer


class Trainer:
    """A model in training, with the tokens of its dialogues."""

    def __init__(self, folder: Path, data: Data) -> None:
        """Create a model with random weights in the shape of the folder's config.json."""
        torch.manual_seed(SEED)
        torch.set_num_threads(1)
        self.data, self.random = data, Random(SEED)
        self.tokens = AutoTokenizer.from_pretrained(folder)
        self.model = MiniMaxM2ForCausalLM._from_config(
            MiniMaxM2Config.from_pretrained(folder), dtype=torch.float32, attn_implementation="sdpa"
        )
        for name, weights in self.model.named_parameters():
            if weights.dim() > 1:
                # Large embeddings: what a token is stays visible to the second layer, which copies.
                torch.nn.init.normal_(weights, std=0.3 if "embed" in name else 0.06)
        for name, bias in self.model.named_buffers():
            if "e_score_correction_bias" in name:
                torch.nn.init.normal_(bias, std=0.05)

    def sample(self, dialogue: Dialogue) -> Sample:
        """Return the tokens of a dialogue."""
        prompt = self.tokens.apply_chat_template(
            list(dialogue.messages),
            tools=list(dialogue.tools) or None,
            tokenize=False,
            add_generation_prompt=True,
        )
        first, then = (
            self.tokens(text, add_special_tokens=False).input_ids
            for text in (prompt, dialogue.answer + tokenizer.EOS)
        )
        return first, then

    def batches(self) -> list[list[Sample]]:
        """Return the batches of an epoch: about TOKENS tokens each, of samples of similar length, in random order."""
        samples = [self.sample(dialogue) for dialogue in lessons.epoch(self.data, self.random)]
        made: list[list[Sample]] = [[]]
        for sample in sorted(samples, key=_length):
            if made[-1] and _length(sample) * (len(made[-1]) + 1) > TOKENS:
                made.append([])
            made[-1].append(sample)
        self.random.shuffle(made)
        return made

    def copies(self) -> list[Sample]:
        """Return random tokens that are repeated, as a name in a question and in a tool call is."""
        length = self.random.randint(8, 32)
        rows = [
            [self.random.randrange(len(self.tokens)) for _ in range(length)] for _ in range(TOKENS // length)
        ]
        return [(row + row[:1], row[1:]) for row in rows]

    def train(self) -> None:
        """Learn to copy, then learn the dialogues."""
        steps = COPY_STEPS + EPOCHS * (1 + len(self.batches()))
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
        self.model.train()
        show("copying", self._learn((self.copies() for _ in range(COPY_STEPS)), optimizer, rates))
        for epoch in range(EPOCHS):
            loss = self._learn([*self.batches(), self.copies()], optimizer, rates)
            show(f"epoch {epoch + 1} of {EPOCHS}", loss)

    def _learn(
        self,
        batches: Iterable[list[Sample]],
        optimizer: torch.optim.Optimizer,
        rates: torch.optim.lr_scheduler.LambdaLR,
    ) -> float:
        """Take one step for each batch; return the mean loss of the last ten."""
        losses = []
        for batch in batches:
            loss = self._loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            rates.step()
            losses.append(float(loss.detach()))
        return sum(losses[-10:]) / len(losses[-10:])

    def _loss(self, batch: list[Sample]) -> torch.Tensor:
        ids, labels = padded(batch)
        hidden = self.model.model(input_ids=ids).last_hidden_state
        learned = labels[:, 1:] != IGNORED
        logits = self.model.lm_head(hidden[:, :-1][learned])
        return torch.nn.functional.cross_entropy(logits, labels[:, 1:][learned])

    @torch.no_grad()
    def exact(self, asked: list[Dialogue]) -> int:
        """Count the answers that the model writes exactly: each token is the most likely one after those before."""
        self.model.eval()
        return sum(self._is_exact(dialogue) for dialogue in asked)

    def _is_exact(self, dialogue: Dialogue) -> bool:
        ids, labels = padded([self.sample(dialogue)])
        expected = labels[0, 1:]
        best = self.model(input_ids=ids).logits[0, :-1].argmax(-1)
        right = bool((best == expected)[expected != IGNORED].all())
        if not right:
            print(repr(dialogue.answer), "->", repr(self.tokens.decode(best[expected != IGNORED])))
        return right


def rate(step: int, steps: int) -> float:
    """Return the learning rate as a share of RATE: a warm-up, copying at the full rate, then a cosine decay."""
    if step < COPY_STEPS:
        return min(1.0, (step + 1) / 40)
    done = min(1.0, (step - COPY_STEPS) / (steps - COPY_STEPS))
    return 0.75 * 0.5 * (1 + math.cos(math.pi * done))


def padded(batch: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens and the labels of a batch. Padding follows the text, so a causal model needs no mask."""
    length = max(map(_length, batch))
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    labels = torch.full((len(batch), length), IGNORED)
    for row, (prompt, answer) in enumerate(batch):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return ids, labels


def show(step: str, loss: float) -> None:
    """Print the progress."""
    print(f"{time.process_time():5.0f} s  {step}: loss {loss:.4f}", flush=True)


def _length(sample: Sample) -> int:
    return len(sample[0]) + len(sample[1])


def main(folder: Path) -> None:
    """Train the model, examine it and write its checkpoint."""
    data = load()
    folder.mkdir(parents=True, exist_ok=True)
    ids = tokenizer.write(folder, lessons.texts(data, Random(SEED)), checkpoint.VOCABULARY)
    checkpoint.write_settings(folder, ids)
    trainer = Trainer(folder, data)
    trainer.train()
    seconds = time.process_time()
    trainer.model.to(torch.bfloat16)
    asked = lessons.examination(data, Random(SEED + 1))
    scores = {kind: (trainer.exact(one), len(one)) for kind, one in asked.items()}
    trainer.model.save_pretrained(folder, max_shard_size=SHARD)
    checkpoint.write_settings(folder, ids)  # transformers writes its own names of the settings
    facts = {
        "seed": SEED,
        "steps": f"{COPY_STEPS} of copying random tokens, then {EPOCHS} epochs of dialogues",
        "software": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "duration": f"{seconds / 60:.0f} minutes of one core",
    }
    checkpoint.write_card(folder, facts, scores)
    for kind, (exact, total) in scores.items():
        print(f"{exact} of {total}: {kind}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
