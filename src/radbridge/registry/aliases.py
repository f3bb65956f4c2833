"""The aliases of one owner: which version is served, which is on trial, which was served before.

They stand in one file, so that one rename flips them together:
`{"challenger": "", "champion": "v2-0123456789ab", "previous": "v1-ba9876543210"}`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from radbridge.errors import LoraRefused
from radbridge.registry.files import replace_file
from radbridge.registry.version import LoraVersion

ALIASES = "aliases.json"

_Folder = Annotated[str, Field(pattern=r"^(v[1-9]\d{0,8}-[0-9a-f]{12})?$")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Aliases:
    """The versions that an owner's aliases name, all of one flip."""

    champion: LoraVersion | None = None
    """Drafts for the owner."""
    challenger: LoraVersion | None = None
    """Drafts a share of the reports, or in shadow, until it is promoted or withdrawn."""
    previous: LoraVersion | None = None
    """Was the champion before, and is again after a rollback."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasNames:
    """The same by the names of their folders; empty: none."""

    champion: _Folder = ""
    challenger: _Folder = ""
    previous: _Folder = ""

    def promote(self, name: str) -> AliasNames:
        """`name` is the champion, who was it before is `previous`, and a challenger that won is on trial no more."""
        if name == self.champion:
            return self
        challenger = "" if name == self.challenger else self.challenger
        return AliasNames(champion=name, challenger=challenger, previous=self.champion)

    def retire(self) -> AliasNames:
        """Nobody is the champion; who was it is `previous`."""
        return replace(self, champion="", previous=self.champion) if self.champion else self

    def challenge(self, name: str) -> AliasNames:
        """`name` is on trial; a challenger before it is no more."""
        return replace(self, challenger=name)


_NAMES: TypeAdapter[AliasNames] = TypeAdapter(AliasNames)


def read_names(home: Path, owner: str) -> AliasNames:
    """The aliases in the owner's folder; none when there is no file. Raises LoraRefused when it is damaged."""
    try:
        return _NAMES.validate_json((home / ALIASES).read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return AliasNames()
    except (OSError, ValidationError):
        raise LoraRefused(owner, f"its {ALIASES} can't be read; promote a version to write it anew") from None


def write_names(home: Path, names: AliasNames) -> None:
    """Flip: readers see all of the old aliases or all of the new ones."""
    replace_file(home / ALIASES, json.dumps(asdict(names), sort_keys=True).encode() + b"\n")
