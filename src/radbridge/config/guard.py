"""`[guard]`: what is done about the flags of a draft."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from radbridge.config.values import Section
from radbridge.draft import FlagKind, Severity


class Action(StrEnum):
    """What is done about a flag."""

    BLOCK = "block"
    """The draft is kept and shown to operators, and goes to no destination."""
    FLAG = "flag"
    """The flag travels with the draft."""
    IGNORE = "ignore"
    """The flag is dropped; only the metrics know of it."""


def _by_severity(said: object) -> object:
    """One word stands for every severity."""
    if not isinstance(said, str):
        return said
    if said not in set(Action):
        raise ValueError("must be block, flag or ignore, or a table of them by severity: critical, warning, info")
    return dict.fromkeys(Severity, said)


Actions = Annotated[dict[Severity, Action], BeforeValidator(_by_severity)]


class Guard(Section):
    """What the site does about the flags of a draft."""

    policy: dict[FlagKind, Actions] = Field(default_factory=dict)
    """Only what differs from the defaults, which are in `radbridge.guard.policy`."""
    lexicon: tuple[Path, ...] = ()
    """The site's own words: files in the form of `radbridge/entities/lexicon/*.toml`."""
