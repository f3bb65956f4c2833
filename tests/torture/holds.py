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
from radbridge.flow.drafting import Drafter, Outcome
from radbridge.flow.holding import cases_lease
from radbridge.journal import drafts
from radbridge.journal.buckets import bucket_of
from radbridge.wire import Holder, Kind
from tests.torture.words import first_of, is_second

HOLD_S = 6.0
"""Longer than the checker's grace, and shorter than PostgreSQL lets a transaction be idle."""


class Hold(StrEnum):
    """Where, and how."""

    STAND = "stand"
    """All of it stands still (SIGSTOP) between the reading of a message, under its lease, and its applying."""
    APPLY = "apply"
    """A message of a case waits to be applied; others of the case, together with another's, are the other gateway's."""
    STORE = "store"
    """A draft of such a case waits to be stored, once it was looked whether it is still asked for."""


def ask(file: Path, hold: Hold) -> None:
    """Have the gateway that obeys `file` held up once, at its next chance."""
    file.write_text(hold)


def obey(file: Path) -> None:
    """Let this process be held up by what `file` says."""
    here = threading.local()

    def take(hold: Hold) -> bool:
        if not file.exists() or file.read_text() != hold:
            return False
        file.unlink()
        return True

    right_apply, right_store, right_is_asked = Applier.apply, Drafter._store, drafts.is_asked  # noqa: SLF001 - wrapped

    def apply(self: Applier, conn: Any, steps: Sequence[Step]) -> Any:
        told = [step for step in steps if step.message.kind.startswith("ORU")]
        if told and take(Hold.STAND):
            os.kill(os.getpid(), signal.SIGSTOP)
        narrow = [step.message.accession for step in told if step.slip and not step.slip.wide]
        _rest(_is_split(self._holder, narrow) and take(Hold.APPLY))
        return right_apply(self, conn, steps)

    def store(self: Drafter, conn: Any, outcomes: Sequence[Outcome]) -> Any:
        here.is_split = _is_split(self._holder, [o.request.key.accession for o in outcomes])
        try:
            return right_store(self, conn, outcomes)
        finally:
            here.is_split = False

    def is_asked(conn: Any, key: CaseKey, revision: str) -> bool:
        asked = right_is_asked(conn, key, revision)
        _rest(asked and getattr(here, "is_split", False) and take(Hold.STORE))
        return asked

    Applier.apply = apply  # type: ignore[method-assign]
    Drafter._store = store  # type: ignore[method-assign] # noqa: SLF001 - wrapped
    drafts.is_asked = is_asked


def _is_split(holder: Holder, accessions: Sequence[str]) -> bool:
    """Whether any is a second case whose first is another gateway's: what speaks of both is applied there."""
    held = holder.held(Kind.CASES)
    return any(
        is_second(accession) and cases_lease(bucket_of(first_of(accession))) not in held for accession in accessions
    )


def _rest(is_held: bool) -> None:
    if is_held:
        time.sleep(HOLD_S)
