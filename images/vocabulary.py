"""Read the vocabulary of an image's vLLM, or of a wheel of another version with the image's other packages.

A wheel has the same Python files as the images of its version, whatever they were compiled for: only its Python files
are read. What a GPU's own code registers when it is imported is not in the vocabulary.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed, Refused
from images.capabilities import PROBE as CAPABILITIES_PROBE

if TYPE_CHECKING:
    from docker import DockerClient

PROBE = Path(__file__).with_name("vocabulary_probe.py")
WHEEL = "/tmp/wheel"  # in the container
LIMIT = "300"  # seconds; reading takes 20
# The probe imports the other one, which is not a file in the image.
START = """
import sys, types
first = sys.modules["capabilities_probe"] = types.ModuleType("capabilities_probe")
exec({capabilities!r}, first.__dict__)
exec({vocabulary!r})
"""


def read(client: DockerClient, image: str, wheel: Path | None = None) -> dict[str, Any]:
    """Run the probe in a container without a network.

    Raises Failed if it cannot read vLLM's options, and Refused if the engine does not have the image.
    """
    from docker.errors import ImageNotFound

    script = START.format(capabilities=CAPABILITIES_PROBE.read_text(), vocabulary=PROBE.read_text())
    try:
        container = client.containers.create(
            image,
            entrypoint=["timeout", LIMIT, "python3", "-c", script],
            command=[],
            network_mode="none",
            cap_drop=["ALL"],
            environment={"PYTHONPATH": WHEEL} if wheel else {},
        )
    except ImageNotFound as error:
        raise Refused(f"the engine has no image '{image}'", fix="invoke images") from error
    try:
        if wheel:
            container.put_archive("/tmp", python_files(wheel))
        container.start()
        status = container.wait()["StatusCode"]
        errors = container.logs(stdout=False, stderr=True).decode()[-600:]
        output = container.logs(stdout=True, stderr=False).decode()
    finally:
        container.remove(force=True)
    facts: dict[str, Any] = json.loads(output.strip().splitlines()[-1]) if status == 0 else {}
    if not (facts.get("options") and facts.get("env")):
        fix = (
            "use an image whose version is near the wheel's: its other packages are imported" if wheel else ""
        )
        raise Failed(f"cannot read the vocabulary of {wheel or image} (exit {status})", why=errors, fix=fix)
    return facts


def python_files(wheel: Path) -> bytes:
    """Return the Python and JSON files of a wheel as a tar archive. Raises Refused if it is not a wheel."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(wheel) as files, tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in files.namelist():
                if name.endswith((".py", ".json")) or ".dist-info/" in name:
                    content = files.read(name)
                    entry = tarfile.TarInfo(f"wheel/{name}")
                    entry.size, entry.mode = len(content), 0o644
                    archive.addfile(entry, io.BytesIO(content))
    except (OSError, zipfile.BadZipFile) as error:
        raise Refused(f"cannot read the wheel '{wheel}'", why=str(error)) from error
    return buffer.getvalue()


def as_text(facts: dict[str, Any], source: str) -> str:
    """Return a vocabulary as JSON with one option, key or variable in a line, so that two versions can be compared."""
    version = facts["vllm_version"].split("+")[0]
    head = {"version": version, "commit": facts["vllm_commit"], "source": source}
    words = {name: facts[name] for name in ("tool_parsers", "reasoning_parsers", "registered")}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in (head | words).items()]
    parts += [f'"{name}": {_table(facts[name])}' for name in ("options", "env")]
    configs = (f"{json.dumps(name)}: {_table(keys)}" for name, keys in sorted(facts["configs"].items()))
    parts.append('"configs": {\n' + ",\n".join(configs) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _table(rows: dict[str, Any]) -> str:
    lines = (f"  {json.dumps(name)}: {json.dumps(rows[name], sort_keys=True)}" for name in sorted(rows))
    return "{\n" + ",\n".join(lines) + "\n}"
