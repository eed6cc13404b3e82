"""Stand-ins for upstream's CUDA and ROCm images, which are tens of gigabytes and need a registry.

A small Debian with modules that answer like torch and vLLM, and with the server of the engine tests, so that the
Dockerfiles, the probe, its comparison with the lock and a launch run for real on top of them. Their GPU facts are made
up: nothing here ran on a GPU.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images.build import base_image
from images.lock.lockfile import load
from images.lock.schema import LockedImage

if TYPE_CHECKING:
    from docker import DockerClient

DOCKERFILE = """\
FROM {base}
COPY modules /usr/lib/python3/dist-packages
COPY vllm /usr/local/bin/vllm
RUN cp /bin/true /usr/bin/su && chmod 4755 /usr/bin/su
ENTRYPOINT {entrypoint}
"""
MODULES = {
    "stand-in.pth": "import sys; sys.version_info = (3, 12, 13, 'final', 0)\n",
    "torch/__init__.py": """\
class version: cuda, hip = {cuda!r}, {hip!r}
class _C:
    _cuda_getArchFlags = staticmethod(lambda: 'sm_90 sm_100')
__version__ = '2.11.0'
""",
    "vllm/__init__.py": "__version__ = {version!r}\n",
    "vllm/_version.py": "commit_id = 'g' + {commit!r}[:9]\n",
    "vllm/envs.py": "environment_variables = dict.fromkeys({environment!r})\n",
    "vllm/platforms/__init__.py": "_current_platform = None\n",
    "vllm/platforms/cpu.py": "class CpuPlatform: pass\n",
    "vllm/utils/__init__.py": "",
    "vllm/utils/argparse_utils.py": "from argparse import ArgumentParser as FlexibleArgumentParser\n",
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/cli_args.py": """\
def make_arg_parser(parser):
    parser.add_argument('--tensor-parallel-size', '-tp')
    for flag in {flags!r}:
        parser.add_argument(flag)
    return parser
""",
    "vllm/tool_parsers.py": "class ToolParserManager: list_registered = lambda: ['minimax_m2']\n",
    "vllm/reasoning.py": """\
class ReasoningParserManager: list_registered = lambda: ['minimax_m2_append_think']
""",
    "vllm-{version}.dist-info/METADATA": "Name: vllm\nVersion: {version}\n",
}
# What plans of MiniMax-M2 use, of the options and variables that vLLM has.
FLAGS = (
    "--all2all-backend",
    "--compilation-config",
    "--data-parallel-size",
    "--disable-nccl-for-dp-synchronization",
    "--enable-auto-tool-choice",
    "--enable-expert-parallel",
    "--max-model-len",
    "--reasoning-parser",
    "--revision",
    "--tool-call-parser",
    "--trust-remote-code",
)
ENVIRONMENT = ("VLLM_CACHE_ROOT", "VLLM_HOST_IP", "VLLM_NO_USAGE_STATS", "VLLM_ROCM_USE_AITER")
SERVER = Path(__file__).parents[1] / "engine" / "stand_in" / "vllm"


def build(client: DockerClient, locked: LockedImage, entrypoint: str = "[]", **changed: str) -> str:
    """Build a base with the facts of an image's base in the lock, except for `changed`; return its tag."""
    facts = {**_facts(locked), **changed}
    debian = base_image.ensure(client, load().image("cpu"), lambda *progress: None)
    files = {f"modules/{path.format(**facts)}": text.format(**facts) for path, text in MODULES.items()}
    files["Dockerfile"] = DOCKERFILE.format(base=debian, entrypoint=entrypoint)
    files["vllm"] = SERVER.read_text()
    tag = f"slipway/stand-in-{locked.name}:{hashlib.sha256(str(files).encode()).hexdigest()[:12]}"
    client.images.build(fileobj=tar(files), custom_context=True, tag=tag, rm=True, forcerm=True)
    return tag


def _facts(locked: LockedImage) -> dict[str, Any]:
    hip = locked.platform == "rocm"
    return {
        "cuda": "" if hip else "13.0",
        "hip": "7.2" if hip else "",
        "version": locked.pins.vllm.version or "0.33.1",
        "commit": locked.pins.vllm.commit or "5" * 40,
        "flags": FLAGS,
        "environment": ENVIRONMENT,
    }


def tar(files: dict[str, str]) -> io.BytesIO:
    """Return a build context with these files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    content.seek(0)
    return content
