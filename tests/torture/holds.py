"""Where a gateway under torture is held up, in the midst of a write, when the controller asks for it.

From outside nobody can stop a program between its reading and its writing: both are milliseconds apart. So a step that
is at risk there is wrapped by whoever starts the gateway; `radbridge` itself knows nothing of it. A hold only waits.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from radbridge.case import CaseKey
from radbridge.flow.applying import Applier, Step
from radbridge.journal import drafts
from tests.torture.words import is_second

HOLD_S = 4.0
"""Longer than the checker's grace, and shorter than PostgreSQL lets a transaction be idle."""


class Hold(StrEnum):
    """Where, and how."""

    STAND = "stand"
    """All of it stands still (SIGSTOP) between the reading of a message, under its lease, and its applying."""
    APPLY = "apply"
    """A message of a case that shares others of its messages with another case waits to be applied."""
    STORE = "store"
    """A draft of such a case waits to be stored, once it was looked whether it is still asked for."""


def ask(file: Path, hold: Hold) -> None:
    """Have the gateway that obeys `file` held up once, at its next chance."""
    file.write_text(hold)


def obey(file: Path) -> None:
    """Let this process be held up by what `file` says."""

    def take(hold: Hold) -> bool:
        if not file.exists() or file.read_text() != hold:
            return False
        file.unlink()
        return True

    right_apply, right_is_asked = Applier.apply, drafts.is_asked

    def apply(self: Applier, conn: Any, steps: Sequence[Step]) -> Any:
        told = [step for step in steps if step.message.kind.startswith("ORU")]
        if told and take(Hold.STAND):
            os.kill(os.getpid(), signal.SIGSTOP)
        if any(step.slip and not step.slip.wide and is_second(step.message.accession) for step in told):
            _rest(take(Hold.APPLY))
        return right_apply(self, conn, steps)

    def is_asked(conn: Any, key: CaseKey, revision: str) -> bool:
        asked = right_is_asked(conn, key, revision)
        is_write = threading.current_thread().name == "journal"  # others look, too, and write nothing
        _rest(asked and is_write and is_second(key.accession) and take(Hold.STORE))
        return asked

    Applier.apply = apply  # type: ignore[method-assign]
    drafts.is_asked = is_asked


def _rest(is_held: bool) -> None:
    if is_held:
        time.sleep(HOLD_S)
