"""What people do with LoRA versions: find them by what they are called, and change what drafts for whom.

`radbridge loras` does it for whoever owns the registry's files, `/api/v1/loras` for trainers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from radbridge.audit import Note, Outcome, What
from radbridge.errors import JournalError, LoraRefused, RegistryError
from radbridge.journal import audit, lora_events
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import LoraAction
from radbridge.registry import Aliases, AliasNames, LoraRegistry, LoraVersion, is_owner, owner_of


class Act(StrEnum):
    """What can be done."""

    PROMOTE = "promote"
    CHALLENGE = "challenge"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"
    RETIRE = "retire"


_ACTIONS: Final = {
    Act.PROMOTE: LoraAction.PROMOTED,
    Act.CHALLENGE: LoraAction.CHALLENGED,
    Act.ROLLBACK: LoraAction.ROLLED_BACK,
    Act.WITHDRAW: LoraAction.WITHDRAWN,
    Act.RETIRE: LoraAction.ROLLED_BACK,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Something to do, and who wants it."""

    act: Act
    name: str
    """A version to promote or challenge with (`rad/900001@v7`), an owner for all else."""
    actor: str
    via: str
    """`cli`, `api`."""
    reason: str = ""
    force: bool = False
    """Promote also what is for another base than the champion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What stands now."""

    owner: str
    standing: Aliases
    event: LoraEvent | None
    """What was recorded in the journal; None where nothing had to be changed."""


Record = Callable[[Callable[[Connection, Sequence[Any]], Any], Any], object]
"""Commits one item with an operation of the journal. Raises JournalError."""


def carry_out(loras: LoraRegistry, wanted: Wanted, record: Record) -> Done:
    """Have it noted that it is wanted, change it, and have that recorded.

    Files flip in no transaction: so the trail knows of each try, whatever happens behind it. Raises RegistryError,
    LoraRefused; and JournalError, where the try couldn't be noted and nothing was changed, or as it says.
    """
    detail = {"lora": wanted.name, "wanted": wanted.act, "reason": wanted.reason}
    note = Note(at=datetime.now(UTC), what=What.CONFIGURATION, actor=wanted.actor, via=wanted.via, detail=detail)
    record(audit.record, note)
    try:
        done = _change(loras, wanted)
    except (RegistryError, LoraRefused):
        with suppress(JournalError):  # the try is noted; why it was refused is what who asked has to know
            record(audit.record, replace(note, outcome=Outcome.MINOR))
        raise
    if done.event is not None:
        try:
            record(lora_events.record, done.event)
        except JournalError as error:
            raise JournalError(f"the change is made and noted, but not in the LoRA's history: {error}") from error
    return done


def _change(loras: LoraRegistry, wanted: Wanted) -> Done:
    chosen = version_of(loras, wanted.name) if wanted.act in (Act.PROMOTE, Act.CHALLENGE) else None
    owner = chosen.owner if chosen else named_owner(wanted.name)
    before = _names(loras, owner)
    standing = _flip(loras, wanted, owner, chosen)
    after = loras.alias_names(owner)
    return Done(owner=owner, standing=standing, event=None if after == before else _event(wanted, owner, before, after))


def _flip(loras: LoraRegistry, wanted: Wanted, owner: str, chosen: LoraVersion | None) -> Aliases:
    if chosen is None:
        flips = {Act.ROLLBACK: loras.rollback, Act.WITHDRAW: loras.withdraw_challenger, Act.RETIRE: loras.retire}
        return flips[wanted.act](owner)
    if wanted.act is Act.CHALLENGE:
        return loras.challenge(chosen)
    if not wanted.force:
        _check_base(loras, chosen)
    return loras.promote(chosen)


def _event(wanted: Wanted, owner: str, before: AliasNames, after: AliasNames) -> LoraEvent:
    subject = {Act.CHALLENGE: after.challenger, Act.WITHDRAW: before.challenger}
    folder = subject.get(wanted.act, after.champion)
    return LoraEvent(
        at=datetime.now(UTC),
        owner=owner,
        version=f"{owner}@{folder}" if folder else owner,
        action=_ACTIONS[wanted.act],
        actor=wanted.actor,
        reason=wanted.reason,
        via=wanted.via,
    )


def named_owner(name: str) -> str:
    """The owner in `rad/<id>` or `rad/<id>@v7`, its id encoded or as HL7 has it. Raises RegistryError."""
    owner = name.partition("@")[0]
    if is_owner(owner):
        return owner
    kind, slash, id = owner.partition("/")
    if not slash:
        raise RegistryError(f"{owner!r} names no owner; write rad/<id>, site/<name> or persona/<name>")
    return owner_of(kind, id)


def folders_of(loras: LoraRegistry, name: str) -> list[str]:
    """The folders that `rad/<id>` (all of them) or `rad/<id>@v7` (one) means. Raises RegistryError."""
    wanted = name.partition("@")[2]
    found = [f for f in loras.folders(named_owner(name)) if not wanted or f == wanted or f.startswith(f"{wanted}-")]
    if not found:
        raise RegistryError(f"there is no {name} in {loras.root}; `radbridge loras list` shows what there is")
    return found


def version_of(loras: LoraRegistry, name: str) -> LoraVersion:
    """The version of `rad/<id>@v7`, or of its whole name. Raises RegistryError."""
    owner, _, wanted = name.partition("@")
    if not wanted:
        raise RegistryError(f"which version? `radbridge loras show {owner}` lists them; write {owner}@v<number>")
    [folder] = folders_of(loras, name)
    version = loras.version(f"{named_owner(name)}@{folder}")
    if version is None:
        raise RegistryError(f"{name} is gone meanwhile")
    return version


def _check_base(loras: LoraRegistry, version: LoraVersion) -> None:
    """A LoRA for another base than the one being served would be refused at every draft."""
    with suppress(LoraRefused):  # a damaged champion is a reason to promote another
        champion = loras.champion(version.owner)
        if champion and champion.base_digest != version.base_digest:
            raise RegistryError(
                f"{version.name} is for the base {version.base_digest[:12]}, the champion for "
                f"{champion.base_digest[:12]}: the model server refuses what isn't for its own base. "
                "When the base changes with it, add --force (over the API: `force`)"
            )


def _names(loras: LoraRegistry, owner: str) -> AliasNames:
    try:
        return loras.alias_names(owner)
    except LoraRefused:  # the change may be about to mend it
        return AliasNames()
