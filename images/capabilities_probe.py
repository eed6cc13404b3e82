"""Runs inside an image, without a network or a GPU, and prints what is really there as one JSON line.

Modules move between vLLM versions, so they are looked for by what they define, not by where they stood once.
Plugins are left out: the contract is vLLM's own. Stands alone: nothing of Slipway is in the image.
"""

import gc
import importlib
import importlib.metadata
import io
import json
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path


def torch_facts():
    import torch

    flavour = "cuda" if torch.version.cuda else "hip" if torch.version.hip else "cpu"
    archs = torch._C._cuda_getArchFlags() if flavour == "cuda" else ""
    return {
        "torch": torch.__version__,
        "torch_flavour": flavour,
        "gpu_archs": (archs or "").split(),
        "cuda": torch.version.cuda or "",
        "hip": torch.version.hip or "",
    }


def vllm_facts():
    import vllm
    from vllm import envs

    commit = re.search(r"\+g([0-9a-f]{7,40})", vllm.__version__)
    known = getattr(vllm, "__commit_id__", None) or getattr(
        importlib.import_module("vllm._version"), "commit_id", None
    )
    return {
        "vllm_version": importlib.metadata.version("vllm"),
        "vllm_commit": (known or (commit.group(1) if commit else "")).lstrip("g"),
        "env": sorted(envs.environment_variables),
    }


def pretend_cpu():
    """Without a GPU vLLM infers no device and the argument parser refuses to be built."""
    from vllm import platforms
    from vllm.platforms.cpu import CpuPlatform

    platforms._current_platform = CpuPlatform()


def modules(package, word):
    """Names of the modules called `word` anywhere in a package; none of them is imported."""
    root = Path(importlib.import_module(package).__file__).parent
    places = (path.relative_to(root).with_suffix("") for path in root.rglob(f"{word}.py"))
    return [".".join((package, *place.parts)) for place in places]


def flags():
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    for name in sorted(
        modules("vllm.entrypoints", "cli_args"), key=lambda name: ("launchers" not in name, name)
    ):
        maker = getattr(importlib.import_module(name), "make_arg_parser", None)
        if maker:
            parser = maker(FlexibleArgumentParser())
            return sorted({word for action in parser._actions for word in action.option_strings})
    raise LookupError("no module of vllm.entrypoints has make_arg_parser")


def parsers(places):
    for place, manager in places:
        try:
            found = getattr(importlib.import_module(place), manager)
        except (ImportError, AttributeError):
            continue
        if hasattr(found, "list_registered"):
            return list(found.list_registered())
        return sorted({*getattr(found, "tool_parsers", {}), *getattr(found, "reasoning_parsers", {})})
    raise LookupError("no parser manager at any known place")


def tried(name, call):
    """A fact that cannot be read is null with its reason on stderr: the others still count."""
    try:
        return call()
    except Exception as error:  # whatever a foreign version raises
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def main():
    gc.disable()  # a short life full of imports
    os.environ["VLLM_PLUGINS"] = ""
    facts = {"python": ".".join(map(str, sys.version_info[:3]))}
    with redirect_stdout(io.StringIO()):
        facts.update(tried("torch", torch_facts) or {})
        facts.update(tried("vllm", vllm_facts) or {})
        tried("platform", pretend_cpu)
        facts["flags"] = tried("flags", flags)
        facts["tool_parsers"] = tried(
            "tool parsers",
            lambda: parsers(
                [
                    ("vllm.tool_parsers", "ToolParserManager"),
                    ("vllm.entrypoints.openai.tool_parsers", "ToolParserManager"),
                ]
            ),
        )
        facts["reasoning_parsers"] = tried(
            "reasoning parsers", lambda: parsers([("vllm.reasoning", "ReasoningParserManager")])
        )
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
