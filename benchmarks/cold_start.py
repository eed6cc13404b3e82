"""Compare `invoke run` with `docker run` and a curl loop for weights that are on disk and not in memory.

    .venv/bin/python -m benchmarks.cold_start [--gib 5] [--mb-per-second 250] [--rounds 1] [--folder DIR]

It writes a checkpoint of this size with random weights onto a disk of this speed (0: the disk as it is), then starts
real vLLM on CPU with it: the same image, command and access for both. Before each start the page cache is dropped, for
the image and for the weights. A start ends with the first answer. Both also start with the weights in memory: the most
that reading ahead can reach. It needs root, an engine and the CPU image (`invoke build --platform cpu`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

from benchmarks.by_hand import docker_words, first_answer, timed
from benchmarks.slow_disk import SlowDisk, slow_disk
from benchmarks.throttled import run

ROOT = Path(__file__).parent.parent
NAME, PORT = "slipway-cold-start", 8579
GIB, BLOCK = 1 << 30, 8 << 20
SHARD = 1 << 30  # bytes of a file, about
HIDDEN, WIDE, HEADS, KV_HEADS, HEAD, WORDS = 2048, 8192, 16, 4, 128, 1024
ONE = b"\x80\x3f"  # 1.0 in bfloat16
COLD_BARE, COLD = "docker run, cold", "invoke run, cold"
WARM_BARE, WARM = "docker run, weights in memory", "invoke run, weights in memory"

Tensors = dict[str, tuple[int, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=5.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="disk to measure")
    parser.add_argument(
        "--mb-per-second", type=int, default=250, help="speed of the weights' disk; 0: as it is"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as work, ExitStack() as stack:
        folder, disk = Path(work), None
        if given.mb_per_second:
            size = round(given.gib * GIB * 1.1) + GIB
            disk = stack.enter_context(slow_disk(folder, size, given.mb_per_second * 1_000_000))
            folder = disk.folder
        model = folder / "cold-model"
        write_checkpoint(model, given.gib)
        report(measure(model, given.rounds, disk), size_of(model), given.mb_per_second)


def measure(model: Path, rounds: int, disk: SlowDisk | None) -> dict[str, list[float]]:
    """Return the seconds of every start."""
    wanted = [str(model), "--platform", "cpu", "--port", str(PORT), "--name", NAME]
    wanted += ["--set", "--max-num-seqs=4", "--max-model-len", "512"]
    words = docker_words(invoke("plan", *wanted, "--format", "docker"))
    if "--name" not in words:
        words[2:2] = ["--name", NAME]
    starts: dict[str, Callable[[], float]] = {
        COLD_BARE: lambda: by_hand(words, model.name),
        COLD: lambda: with_slipway(wanted, disk),
        WARM_BARE: lambda: by_hand(words, model.name, warm=weights(model)),
        WARM: lambda: with_slipway(wanted, disk, warm=weights(model)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    for number in range(rounds):
        order = list(starts)[number % 2 :] + list(starts)[: number % 2]
        for name in order:
            with disk.limited_container(NAME) if disk else nullcontext():
                seconds[name].append(starts[name]())
            print(f"{name:32}{seconds[name][-1]:7.1f} s", file=sys.stderr, flush=True)
    return seconds


def by_hand(words: list[str], served: str, warm: tuple[Path, ...] = ()) -> float:
    """Time the docker command of the plan, up to the first answer."""
    drop_page_cache()
    for path in warm:
        read(path)
    try:
        return timed(lambda: first_answer(lambda: run(*words), PORT, served))
    finally:
        run("docker", "rm", "-f", NAME)


def with_slipway(wanted: list[str], disk: SlowDisk | None, warm: tuple[Path, ...] = ()) -> float:
    """Time `invoke run`, which ends with the first answer."""
    drop_page_cache()
    for path in warm:
        read(path)
    try:
        return timed(lambda: invoke("run", *wanted, disk=disk))
    finally:
        invoke("stop", NAME, check=False)


def report(seconds: dict[str, list[float]], size: int, speed: int) -> None:
    """Print the medians and the ratio."""
    disk = f"a disk of {speed} MB/s" if speed else "the disk as it is"
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\n{size / GIB:.1f} GiB of weights on {disk}, to the first answer, {os.cpu_count()} cores\n")
    for name, values in seconds.items():
        print(f"{name:32}{median[name]:7.1f} s   ({', '.join(f'{value:.1f}' for value in values)})")
    reading, hidden = median[COLD_BARE] - median[WARM_BARE], median[COLD_BARE] - median[COLD]
    print(f"\nreading the weights costs docker run {reading:.1f} s; invoke run is {hidden:.1f} s faster")
    print(f"ratio: invoke run takes {median[COLD] / median[COLD_BARE]:.2f} of docker run")
    bound = max(median[WARM], size / (speed * 1e6) if speed else 0.0)
    print(
        f"the larger of starting and reading is {bound:.1f} s; invoke run takes {median[COLD] / bound:.2f} of it"
    )


def drop_page_cache() -> None:
    """Drop all clean pages of the host."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def read(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb", buffering=0) as stream:
        while stream.read(BLOCK):
            pass


def weights(model: Path) -> tuple[Path, ...]:
    """Return the weights files."""
    return tuple(sorted(model.glob("*.safetensors")))


def size_of(model: Path) -> int:
    """Return the bytes of the weights."""
    return sum(path.stat().st_size for path in weights(model))


# ---- the checkpoint


def write_checkpoint(folder: Path, gib: float) -> None:
    """Write a Llama of this size with random weights, and the tokenizer of the built-in tiny model."""
    folder.mkdir(parents=True)
    layers = max(1, round(gib * GIB / (2 * elements(layer(0)))))
    shards = list(split({**outside(), **{name: at for n in range(layers) for name, at in layer(n).items()}}))
    index: dict[str, str] = {}
    for number, tensors in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(folder / file, tensors)
        index |= dict.fromkeys(tensors, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(ROOT / "launch/demo/model" / name, folder)
    (folder / "config.json").write_text(json.dumps(config(layers), indent=1))


def config(layers: int) -> dict[str, object]:
    """Return config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "vocab_size": WORDS,
        "hidden_size": HIDDEN,
        "intermediate_size": WIDE,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "max_position_embeddings": 2048,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    }


def outside() -> Tensors:
    """Return the shapes of the tensors outside the layers."""
    return {
        "model.embed_tokens.weight": (WORDS, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        "lm_head.weight": (WORDS, HIDDEN),
    }


def layer(number: int) -> Tensors:
    """Return the shapes of one layer's tensors."""
    at = f"model.layers.{number}"
    return {
        f"{at}.input_layernorm.weight": (HIDDEN,),
        f"{at}.post_attention_layernorm.weight": (HIDDEN,),
        f"{at}.self_attn.q_proj.weight": (HEADS * HEAD, HIDDEN),
        f"{at}.self_attn.k_proj.weight": (KV_HEADS * HEAD, HIDDEN),
        f"{at}.self_attn.v_proj.weight": (KV_HEADS * HEAD, HIDDEN),
        f"{at}.self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD),
        f"{at}.mlp.gate_proj.weight": (WIDE, HIDDEN),
        f"{at}.mlp.up_proj.weight": (WIDE, HIDDEN),
        f"{at}.mlp.down_proj.weight": (HIDDEN, WIDE),
    }


def elements(tensors: Tensors) -> int:
    """Return the number of elements of tensors."""
    total = 0
    for shape in tensors.values():
        count = 1
        for size in shape:
            count *= size
        total += count
    return total


def split(tensors: Tensors) -> Iterator[Tensors]:
    """Yield the tensors of one file after another."""
    shard: Tensors = {}
    for name, shape in tensors.items():
        shard[name] = shape
        if 2 * elements(shard) >= SHARD:
            yield shard
            shard = {}
    if shard:
        yield shard


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """Write tensors of bfloat16: ones for the norms, small random numbers for all others."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * elements({name: shape})
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = small_numbers(BLOCK)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors.items():
            left = 2 * elements({name: shape})
            if "norm" in name:
                stream.write(ONE * (left // 2))
                continue
            while left:
                left -= stream.write(block[: min(left, len(block))])


def small_numbers(size: int) -> bytes:
    """Return bfloat16 of 0.008 to 0.03, half of them negative: the high byte is sign and exponent."""
    content = bytearray(random.Random(3).randbytes(size))
    signs = random.Random(4).randbytes(size // 2)
    content[1::2] = bytes(0x3C | (sign & 0x80) for sign in signs)
    return bytes(content)


def invoke(*words: str, check: bool = True, disk: SlowDisk | None = None) -> str:
    """Run `invoke`; return its stdout. Exits if it fails."""
    argv = [sys.executable, "-m", "invoke", *words]
    argv = disk.limited(argv) if disk else argv
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"invoke {' '.join(words)}: {done.stderr[-1500:]}")
    if words[0] == "run":
        print(done.stderr, file=sys.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
