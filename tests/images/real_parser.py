"""Give commands to vLLM's own argument parser. Runs inside an image, reads one JSON list in each line of /tmp/commands.

Prints one JSON object: the number of each refused command and why. Plugins are not loaded.
"""

import gc
import io
import json
import logging
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path


def serve_parser():
    from vllm import platforms
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.platforms.cpu import CpuPlatform
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    platforms._current_platform = CpuPlatform()
    logging.disable(logging.CRITICAL)
    parser = FlexibleArgumentParser()
    make_arg_parser(parser.add_subparsers(dest="subparser").add_parser("serve"))
    return parser


def refusal(parser, words):
    error = io.StringIO()
    try:
        with redirect_stderr(error):
            parser.parse_args(["serve", *words])
    except SystemExit:
        return error.getvalue().partition("error:")[2].strip()[:500] or "refused"
    except Exception as other:  # a validator that looks a word up
        return f"{type(other).__name__}: {other}"[:500]
    return ""


def main():
    gc.disable()
    os.environ |= {"VLLM_PLUGINS": "", "HF_HUB_OFFLINE": "1"}
    with redirect_stdout(io.StringIO()):
        parser = serve_parser()
        commands = map(json.loads, Path("/tmp/commands").read_text().splitlines())
        refused = {number: why for number, words in enumerate(commands) if (why := refusal(parser, words))}
    print(json.dumps(refused))


if __name__ == "__main__":
    main()
