"""Print the vocabulary of `vllm serve` as one JSON line: options, keys of its JSON options, variables, parsers.

Runs inside an image, without a network or a GPU, after `capabilities_probe.py`. What a key of a config accepts is not
read from its type, because validators accept more: one value of every JSON type and every spelling of every choice is
given to vLLM's own class.
"""

import argparse
import ast
import dataclasses
import enum
import gc
import importlib
import io
import json
import os
import re
import typing
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from capabilities_probe import modules, parsers, pretend_cpu, try_read, vllm_facts

NO_SUCH = "no such word"
SAMPLES = {
    "null": None,
    "boolean": True,
    "integer": 2,
    "number": 0.5,
    "string": NO_SUCH,
    "array": [],
    "object": {},
}
# Errors of pydantic that say that a value has the right type.
RIGHT_TYPE = re.compile(
    r"greater_than|less_than|multiple_of|finite_number|too_short|too_long|missing|value_error"
)
BOUNDS = ("gt", "ge", "lt", "le")
PARSERS = {
    "tool_parsers": (
        ("vllm.tool_parsers", "ToolParserManager"),
        ("vllm.entrypoints.openai.tool_parsers", "ToolParserManager"),
    ),
    "reasoning_parsers": (("vllm.reasoning", "ReasoningParserManager"),),
}
# A variable that is read without vllm.envs.
READ_ELSEWHERE = re.compile(
    r"(?:environ(?:\.get|\.setdefault)?\s*[\[(]|getenv\()\s*[\"'](VLLM_[A-Z0-9_]+)[\"']"
)


def serve_parser():
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    for name in sorted(
        modules("vllm.entrypoints", "cli_args"), key=lambda name: ("launchers" not in name, name)
    ):
        maker = getattr(importlib.import_module(name), "make_arg_parser", None)
        if maker:
            return maker(FlexibleArgumentParser())
    raise LookupError("no module of vllm.entrypoints has make_arg_parser")


# ---- options


def options(configs):
    """Return every option by its first long form. Spellings that the help hides count too."""
    parser, spellings = serve_parser(), {}
    for spelled, action in parser._option_string_actions.items():
        spellings.setdefault(id(action), (action, []))[1].append(spelled)
    found = {}
    for action, words in spellings.values():
        if "--help" not in words:
            words.sort(key=lambda word: not word.startswith("--"))
            found[words[0]] = _option(parser, action, words, configs)
    return found


def _option(parser, action, words, configs):
    if action.nargs == 0:
        off = [word for word in words if _turns_off(parser, action, word)]
        return _filled({"kind": "switch", "also": [w for w in words[1:] if w not in off], "off": off})
    found = {
        **_kind(action.type),
        "also": words[1:],
        "nargs": action.nargs,
        "repeats": "Append" in type(action).__name__,
        "choices": [str(item) for item in action.choices or () if item is not None],
    }
    if type(action).__name__ == "LoRAParserAction":
        found["kind"] = "name_and_path"
    return _filled(found | _hints(action, found, configs))


def _turns_off(parser, action, word):
    space = argparse.Namespace()
    action(parser, space, [], word)
    return getattr(space, action.dest, None) is False


def _filled(described):
    """Return a description without what it leaves open; 0 is a bound."""
    return {
        key: value
        for key, value in described.items()
        if value is not None and value not in ([], "", {}) and value is not False
    }


def _kind(convert):
    """Describe the function that converts the text of a value."""
    name = getattr(convert, "__qualname__", "")
    inner = _closure(convert)
    if name.startswith("optional_type"):
        return {**_kind(inner.get("return_type")), "optional": True}
    if name.startswith("parse_type"):
        return _kind(inner.get("return_type"))
    if "parse_dataclass" in name:
        return {"kind": "config", "config": _dataclass_of(convert, inner)}
    kinds = {
        "int": "integer",
        "float": "number",
        "str": "text",
        "loads": "json",
        "union_dict_and_str": "object_or_text",
        "human_readable_int": "size",
        "human_readable_int_or_auto": "size_or_auto",
    }
    if name in kinds:
        return {"kind": kinds[name]}
    try:
        folds = convert("A-B") == "a_b"
    except Exception:  # any function
        folds = False
    return {"kind": "text", "folds": folds}


def _dataclass_of(convert, inner):
    cls = inner.get("cls") or (convert.__defaults__ or [None])[-1]
    return getattr(cls, "__name__", "")


def _closure(function):
    cells = getattr(function, "__closure__", None) or ()
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    return dict(zip(names, (cell.cell_contents for cell in cells), strict=True))


def _hints(action, found, configs):
    """Return what the fields of the configs say about an option: bounds, enums, the config of a JSON option."""
    hints, more = engine_hints(), {}
    for cls in configs.values():
        field = getattr(cls, "__pydantic_fields__", {}).get(action.dest)
        if field is not None:
            more |= _bounds(field.metadata)
    config = config_of_option(action.dest)
    if found["kind"] in ("json", "object_or_text", "text") and config in configs:
        more |= {"kind": "config", "config": config, "loads": found["kind"] == "json"}
    enums = [part for part in _parts(hints.get(action.dest)) if _is_enum(part)]
    if found["kind"] == "text" and enums and not found["choices"]:
        more |= {"choices": sorted(_spellings(enums[0])), "any_case": True}
    if isinstance(action.metavar, (list, tuple)):
        more["known"] = sorted(str(item) for item in action.metavar)
    return more


def engine_hints():
    from vllm.engine.arg_utils import EngineArgs

    return _resolved(EngineArgs)


def config_of_option(dest):
    """Return the class of a JSON option by the field of VllmConfig or of its parts, "" if it has none."""
    from vllm.config import VllmConfig

    hints = _resolved(VllmConfig)
    parts = [part.__name__ for part in _parts(hints.get(dest)) if dataclasses.is_dataclass(part)]
    return parts[0] if len(parts) == 1 else ""


def _resolved(cls):
    try:
        return typing.get_type_hints(cls)
    except Exception:  # a name that only a type checker imports
        return {field.name: field.type for field in dataclasses.fields(cls)}


def _bounds(metadata):
    values = {name: getattr(item, name, None) for item in metadata for name in BOUNDS if hasattr(item, name)}
    return {name: value for name, value in values.items() if isinstance(value, (int, float))}


# ---- keys of the configs


def config_classes():
    import vllm.config

    found, waiting = (
        {},
        [
            cls
            for cls in vars(vllm.config).values()
            if isinstance(cls, type) and dataclasses.is_dataclass(cls)
        ],
    )
    while waiting:
        cls = waiting.pop()
        if cls.__name__ in found or not hasattr(cls, "__pydantic_fields__"):
            continue
        if hasattr(cls, "__post_init__"):  # asks the Hub for a model
            cls.__post_init__ = lambda self, *given: None
        found[cls.__name__] = cls
        for field in cls.__pydantic_fields__.values():
            waiting += [part for part in _parts(field.annotation) if dataclasses.is_dataclass(part)]
    return found


def used_configs(configs, described):
    """Return the keys of the configs that options or keys of other configs name."""
    found, waiting = {}, [option["config"] for option in described.values() if "config" in option]
    while waiting:
        name = waiting.pop()
        if name in configs and name not in found:
            found[name] = config_keys(configs[name])
            waiting += [key["config"] for key in found[name].values() if "config" in key]
    return found


def config_keys(cls):
    return {
        name: described
        for name, field in cls.__pydantic_fields__.items()
        if (described := try_read(f"{cls.__name__}.{name}", lambda n=name, f=field: _key(cls, n, f)))
    }


def _key(cls, name, field):
    if not _is_known(cls, name):
        return None
    accepts = [kind for kind, value in SAMPLES.items() if _accepts(cls, name, value)]
    words = _words(field.annotation)
    if words and not _accepts_exactly(cls, name, NO_SUCH):  # the validator of an enum refuses words as values
        accepts = [kind for kind in accepts if kind != "string"]
    choices = [] if "string" in accepts else [w for w in words if _accepts_exactly(cls, name, w)]
    nested = [part.__name__ for part in _parts(field.annotation) if dataclasses.is_dataclass(part)]
    return _filled(
        {
            "accepts": accepts or (None if choices else list(SAMPLES)),
            "items": [
                kind for kind, value in SAMPLES.items() if "array" in accepts and _accepts(cls, name, [value])
            ],
            "choices": choices,
            "config": nested[0] if len(nested) == 1 else None,
            **_bounds(field.metadata),
        }
    )


def _is_known(cls, name):
    return all(error["type"] != "unexpected_keyword_argument" for error in _errors(cls, name, None))


def _accepts(cls, name, value):
    errors = _errors(cls, name, value)
    if any(error["type"] == "unexpected_keyword_argument" for error in errors):
        return False
    return not errors or any(RIGHT_TYPE.search(error["type"]) for error in errors)


def _accepts_exactly(cls, name, value):
    return not _errors(cls, name, value)


def _errors(cls, name, value):
    """Return pydantic's errors about this key; those about other keys or about the whole do not count."""
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(cls).validate_python({name: value})
    except ValidationError as error:
        return [found for found in error.errors(include_url=False) if found["loc"][:1] == (name,)]
    except Exception as error:  # a validator that looks the word up
        return [{"type": type(error).__name__, "loc": (name,)}]
    return []


def _words(annotation):
    """Return every spelling of the words that a type names."""
    words = set()
    for part in _parts(annotation):
        if typing.get_origin(part) is typing.Literal:
            words |= {item for item in typing.get_args(part) if isinstance(item, (str, int))}
        elif _is_enum(part):
            words |= _spellings(part) | {item.value for item in part if isinstance(item.value, int)}
    words |= {word for w in words if isinstance(w, str) for word in (w.upper(), w.lower())}
    return sorted(words, key=lambda w: (str(type(w)), w))


def _is_enum(part):
    return isinstance(part, type) and issubclass(part, enum.Enum)


def _spellings(kind):
    values = {str(item.value) for item in kind if isinstance(item.value, (str, int))}
    return {item.name for item in kind} | {value for value in values if value and "." not in value}


def _parts(hint):
    """Return the alternatives of a type, without containers."""
    args = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Annotated,):
        return _parts(args[0])
    if args and typing.get_origin(hint) is not typing.Literal:
        is_union = typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType"
        return [part for arg in args for part in _parts(arg)] if is_union else []
    return [hint]


# ---- variables


def variables():
    from vllm import envs

    found = {name: _variable(name, getter) for name, getter in envs.environment_variables.items()}
    return {**dict.fromkeys(_read_elsewhere(), "text"), **found}


def _variable(name, getter):
    """Return what a variable accepts: text, number, integer, or a list of words."""
    for kind, text in (("text", NO_SUCH), ("number", "0.5"), ("integer", "1")):
        failed = _read_variable(name, getter, text)
        if failed is None:
            return kind
        if words := re.search(r"Valid options: (\[.*\])", failed):
            return ast.literal_eval(words[1])
    return "text"


def _read_variable(name, getter, text):
    before = os.environ.get(name)
    os.environ[name] = text
    try:
        getter()
    except Exception as error:  # each variable has its own function
        return str(error)
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
    return None


def _read_elsewhere():
    root = Path(importlib.import_module("vllm").__file__).parent
    return {
        name
        for path in root.rglob("*.py")
        for name in READ_ELSEWHERE.findall(path.read_text(errors="ignore"))
    }


# ---- words that are checked when the model is loaded


def registered():
    """Return the words of options that any text passes in the parser and that vLLM checks later."""
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
    from vllm.model_executor.model_loader import _LOAD_FORMAT_TO_MODEL_LOADER

    return {
        "--quantization": sorted(map(str, QUANTIZATION_METHODS)),
        "--load-format": sorted(_LOAD_FORMAT_TO_MODEL_LOADER),
    }


def main():
    gc.disable()
    warnings.simplefilter("ignore")
    os.environ |= {"VLLM_PLUGINS": "", "HF_HUB_OFFLINE": "1"}
    facts = {}
    with redirect_stdout(io.StringIO()):
        facts |= try_read("vllm", vllm_facts) or {}
        facts.pop("env", None)
        try_read("platform", pretend_cpu)
        configs = try_read("configs", config_classes) or {}
        facts["options"] = try_read("options", lambda: options(configs))
        facts["configs"] = used_configs(configs, facts["options"] or {})
        facts["env"] = try_read("variables", variables)
        facts["registered"] = try_read("registered words", registered)
        for name, places in PARSERS.items():
            facts[name] = try_read(name, lambda places=places: parsers(places))
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
