"""The guard as the model server uses it: by the default policy, since the site's own is the gateway's to apply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radbridge.contract import DraftRequest
from radbridge.draft import Flag
from radbridge.guard import Guard
from radbridge.guard.policy import GuardPolicy

POLICY = GuardPolicy()


def make_guard(request: DraftRequest, lexicon: tuple[Path, ...]) -> Guard:
    """The guard of one request. Signed examples and a prior report are no source for it."""
    return Guard(
        request.findings,
        indication=request.indication,
        comparison=request.comparison,
        sex=request.sex,
        modality=request.modality,
        age=request.age,
        lexicon=lexicon,
    )


def name_blocking(flags: Sequence[Flag]) -> str:
    """The kinds of flag that keep a text back; empty where none does."""
    return ", ".join(dict.fromkeys(f.kind for f in POLICY.judge(flags).blocking))
