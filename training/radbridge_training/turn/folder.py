"""The folder of a turn: whose turn it is, and how each radiologist's part ended.

turns/20261121T204500/turn.json                    written first; `ended` is written last
turns/20261121T204500/rad/<id>/<step>/done.json    see `done`
turns/20261121T204500/rad/<id>/outcome.json        how that part ended
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from radbridge.errors import ConfigError
from radbridge.registry.files import make_folder, replace_file
from radbridge_training.turn.job import Outcome, Owner
from radbridge_training.turn.plan import Skip

TURN = "turn.json"
OUTCOME = "outcome.json"
ROWS = "*.jsonl"
"""What holds report texts, de-identified: removed when a turn ends, unless the site keeps it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What `turn.json` says."""

    began: AwareDatetime
    recipe: str
    """Digest of the recipe that it began with."""
    base: str
    """Digest of the base."""
    only: tuple[str, ...] = ()
    """The radiologists that the turn was asked for; empty: all."""
    owners: tuple[Owner, ...] = ()
    skips: tuple[Skip, ...] = ()
    looked: Mapping[str, int] = field(default_factory=dict)
    """Owner -> the last report, by order, that an earlier turn has looked at."""
    ended: AwareDatetime | None = None


_TOLD: TypeAdapter[Told] = TypeAdapter(Told)
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One turn on disk."""

    folder: Path
    told: Told

    def home(self, owner: str) -> Path:
        """Where the owner's steps are."""
        return self.folder / owner

    def outcome(self, owner: str) -> Outcome | None:
        """How the owner's part ended; None while it hasn't."""
        try:
            return _OUTCOME.validate_json((self.home(owner) / OUTCOME).read_bytes())
        except (OSError, ValidationError):  # none yet, or torn by a disk that died: done again
            return None

    def put_outcome(self, outcome: Outcome) -> None:
        """The owner's part has ended."""
        make_folder(self.home(outcome.owner))
        _write(self.home(outcome.owner) / OUTCOME, asdict(outcome))


def list_turns(work: Path) -> Iterator[Turn]:
    """The turns below `work`, newest first; a folder without a `turn.json` that can be read is none."""
    for folder in sorted((p for p in work.glob("*T*") if p.is_dir()), reverse=True):
        try:
            yield Turn(folder=folder, told=_TOLD.validate_json((folder / TURN).read_bytes()))
        except (OSError, ValidationError):  # killed before it began
            continue


def begin(work: Path, told: Told) -> Turn:
    """A new turn, named for the second that it began."""
    folder = work / f"{told.began.astimezone(UTC):%Y%m%dT%H%M%S}"
    if (folder / TURN).exists():
        raise ConfigError([f"training.work: {folder} is there already; wait a second"])
    make_folder(folder)
    turn = Turn(folder=folder, told=told)
    _write(folder / TURN, asdict(told))
    return turn


def end(turn: Turn, *, keep_rows: bool) -> Turn:
    """Every part has ended: rows go, unless they are to be kept, and what no page or figure is made from."""
    if not keep_rows:
        for path in turn.folder.rglob(ROWS):
            path.unlink()
    told = replace(turn.told, ended=datetime.now(UTC))
    _write(turn.folder / TURN, asdict(told))
    return Turn(folder=turn.folder, told=told)


def sweep(work: Path, keep: int) -> None:
    """Only the newest `keep` turns that trained for somebody stay, and the very newest."""
    newest, *older = list_turns(work)
    kept = [turn for turn in (newest, *older) if turn.told.owners][:keep]
    for turn in older:
        if turn not in kept:
            shutil.rmtree(turn.folder, ignore_errors=True)


def find_open(turns: Sequence[Turn]) -> Turn | None:
    """The newest turn, where it hasn't ended."""
    return turns[0] if turns and turns[0].told.ended is None else None


def _write(path: Path, told: object) -> None:
    replace_file(path, json.dumps(told, indent=1, sort_keys=True, default=_as_text).encode() + b"\n")


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
