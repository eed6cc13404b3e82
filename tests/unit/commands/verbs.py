"""The verbs of tasks.py, by name."""

from __future__ import annotations

import tasks
from commands.task import Verb

VERBS: dict[str, Verb] = dict(tasks.ns.tasks)
