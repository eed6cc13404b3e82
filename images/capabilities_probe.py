"""Print an image's capabilities as one JSON line. Runs inside the image, without a network or a GPU.

Modules move between vLLM versions, so they are found by what they define, not by a fixed path. Plugins are not
loaded: the capabilities are those of vLLM itself. This script must not import Slipway, which is not in the image.
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
    commit_id = getattr(vllm, "__commit_id__", None) or getattr(
        importlib.import_module("vllm._version"), "commit_id", None
    )
    return {
        "vllm_version": importlib.metadata.version("vllm"),
        "vllm_commit": (commit_id or (commit.group(1) if commit else "")).lstrip("g"),
        "env": sorted(envs.environment_variables),
    }


def pretend_cpu():
    """Select the CPU platform: without a GPU vLLM finds no device and cannot build its argument parser."""
    from vllm import platforms
    from vllm.platforms.cpu import CpuPlatform

    platforms._current_platform = CpuPlatform()


def modules(package, name):
    """Return the dotted names of the modules called `name` anywhere in a package, without importing them."""
    root = Path(importlib.import_module(package).__file__).parent
    places = (path.relative_to(root).with_suffix("") for path in root.rglob(f"{name}.py"))
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
            return sorted({option for action in parser._actions for option in action.option_strings})
    raise LookupError("no module of vllm.entrypoints has make_arg_parser")


def parsers(places):
    for place, manager in places:
        try:
            registry = getattr(importlib.import_module(place), manager)
        except (ImportError, AttributeError):
            continue
        if hasattr(registry, "list_registered"):
            return list(registry.list_registered())
        return sorted({*getattr(registry, "tool_parsers", {}), *getattr(registry, "reasoning_parsers", {})})
    raise LookupError("no parser manager found in any known module")


def try_read(name, call):
    """Return a fact, or None with the reason on stderr: one unreadable fact must not hide the others."""
    try:
        return call()
    except Exception as error:  # an unknown vLLM version may raise anything
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def main():
    gc.disable()  # speeds up the imports of this short-lived process
    os.environ["VLLM_PLUGINS"] = ""
    facts = {"python": ".".join(map(str, sys.version_info[:3]))}
    with redirect_stdout(io.StringIO()):
        facts.update(try_read("torch", torch_facts) or {})
        facts.update(try_read("vllm", vllm_facts) or {})
        try_read("platform", pretend_cpu)
        facts["flags"] = try_read("flags", flags)
        facts["tool_parsers"] = try_read(
            "tool parsers",
            lambda: parsers(
                [
                    ("vllm.tool_parsers", "ToolParserManager"),
                    ("vllm.entrypoints.openai.tool_parsers", "ToolParserManager"),
                ]
            ),
        )
        facts["reasoning_parsers"] = try_read(
            "reasoning parsers", lambda: parsers([("vllm.reasoning", "ReasoningParserManager")])
        )
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
