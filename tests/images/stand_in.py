"""Stand-ins for upstream's CUDA and ROCm images, which need a registry that answers and tens of gigabytes.

A small Debian with modules that answer what torch and vLLM answer there, so our Dockerfiles, the contract
and its comparison run for real above them. What they say of GPUs is made up: nothing here was run on one.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any

from images.build import base_image as bases
from images.build.pipeline import WORK
from images.lock.lockfile import Platform, load

DOCKERFILE = """\
FROM {base}
COPY modules /usr/lib/python3/dist-packages
COPY --chmod=755 vllm /usr/local/bin/vllm
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
    "vllm/envs.py": "environment_variables = {{'VLLM_HOST_IP': None, 'VLLM_ROCM_USE_AITER': None}}\n",
    "vllm/platforms/__init__.py": "_current_platform = None\n",
    "vllm/platforms/cpu.py": "class CpuPlatform: pass\n",
    "vllm/utils/__init__.py": "",
    "vllm/utils/argparse_utils.py": "from argparse import ArgumentParser as FlexibleArgumentParser\n",
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/cli_args.py": """\
def make_arg_parser(parser):
    parser.add_argument('--tensor-parallel-size', '-tp')
    return parser
""",
    "vllm/tool_parsers.py": "class ToolParserManager: list_registered = lambda: ['minimax_m2']\n",
    "vllm/reasoning.py": """\
class ReasoningParserManager: list_registered = lambda: ['minimax_m2_append_think']
""",
    "vllm-{version}.dist-info/METADATA": "Name: vllm\nVersion: {version}\n",
}


def build(client: Any, name: str, entrypoint: str = "[]", **changed: str) -> str:
    """A base that says what the lock's base of platform `name` says, but for what is `changed`; its tag."""
    pins = load().platform(name)
    facts = {**_facts(name, pins), **changed}
    debian = bases.ensure(client, "cpu", load().platform("cpu"), lambda *told: None, WORK)
    files = {f"modules/{path.format(**facts)}": text.format(**facts) for path, text in MODULES.items()}
    files["Dockerfile"] = DOCKERFILE.format(base=debian, entrypoint=entrypoint).replace(" --chmod=755", "")
    files["vllm"] = f"#!/bin/sh\necho {facts['version']}\n"
    tag = f"slipway/stand-in-{name}:{abs(hash(tuple(files.items()))):x}"
    client.images.build(fileobj=_tar(files), custom_context=True, tag=tag, rm=True, forcerm=True)
    return tag


def _facts(name: str, pins: Platform) -> dict[str, str]:
    hip = name.startswith("rocm")
    version = pins.vllm.version or "0.33.1"
    return {
        "cuda": "" if hip else "13.0",
        "hip": "7.2" if hip else "",
        "version": version,
        "commit": pins.vllm.commit,
    }


def _tar(files: dict[str, str]) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    made.seek(0)
    return made
