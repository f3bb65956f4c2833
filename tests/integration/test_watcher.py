"""The watcher's looks, over a real journal and registry: what is read, when, and what is noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from radbridge.audit import Note, read
from radbridge.case import ReportText
from radbridge.config import Trial
from radbridge.draft import DraftImpression, DraftState
from radbridge.edit import Edit, compare
from radbridge.errors import JournalError, RegistryError
from radbridge.flow import watching
from radbridge.flow.watching import TO_BE_TRAINED_ANEW, Watched, Watcher, find_watched, read_watched
from radbridge.journal import Journal, audit, drafts, edits, lora_events
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import LoraAction, audit_pending
from radbridge.metrics import Metrics
from radbridge.registry import ALIASES, Aliases, LoraRegistry, LoraVersion, owner_of
from radbridge.trials import Decision, Outcome, Phase, Reading, read_trial
from tests.support.drafts import AT, CASE, DRAFT
from tests.support.registry import publish_new

OWNER = owner_of("rad", "1234")
OTHER = owner_of("rad", "5678")
HOUR = timedelta(hours=1)


@dataclass
class Room:
    """A watcher whose journal holds what the test says."""

    journal: Journal
    registry: LoraRegistry
    watcher: Watcher
    metrics: Metrics
    folder: Path
    numbers: count[int] = field(default_factory=count)

    def publish(self, owner: str = OWNER) -> LoraVersion:
        """A new version."""
        return publish_new(self.registry, self.folder, b"%d" % next(self.numbers), owner)

    async def note(self, action: LoraAction, version: LoraVersion, at: datetime) -> None:
        """An event."""
        event = LoraEvent(at=at, owner=version.owner, version=version.name, action=action, actor="x")
        await self.journal.write(lora_events.record, event)

    async def mark(self, version: LoraVersion) -> None:
        """`radbridge forget` found that it learned from what was withdrawn."""
        await self.note(LoraAction.MARKED, version, AT)

    async def draft(self, asked: str, at: datetime, *, signer: str = "1234") -> DraftImpression:
        """A draft that waits for its signature."""
        made = replace(DRAFT, id=f"D{next(self.numbers)}", asked=asked, made_at=at, signer=signer, flags=())

        def keep(conn: Connection, made: Sequence[DraftImpression]) -> list[None]:
            for draft in made:
                drafts.add(conn, CASE.key, draft, DraftState.SIGNED)
            return [None] * len(made)

        await self.journal.write(keep, made)
        return made

    async def sign_over(self, draft: DraftImpression, *, as_it_is: bool) -> None:
        """The signature: the draft's words, or quite different ones."""
        words = draft.text if as_it_is else "Something quite different."
        report = ReportText(findings="Nodule.", impression=words)
        signer = replace(CASE.signer, id=draft.signer)
        edit = compare(replace(CASE, report=report, signer=signer, signed_at=AT), draft, delivered=True)

        def keep(conn: Connection, kept: Sequence[Edit]) -> list[None]:
            for edit in kept:
                edits.save(conn, CASE.key, edit)
            return [None] * len(kept)

        await self.journal.write(keep, edit)

    async def sign(
        self, asked: str, at: datetime, *, as_it_is: bool = True, times: int = 1, signer: str = "1234"
    ) -> None:
        """Drafts, each signed at once."""
        for _ in range(times):
            await self.sign_over(await self.draft(asked, at, signer=signer), as_it_is=as_it_is)

    async def harm(
        self, owner: str = OWNER, signer: str = "1234", *, times: int = 15
    ) -> tuple[LoraVersion, LoraVersion]:
        """A champion that is plainly worse than the one before it, after so many reports."""
        first, second = self.publish(owner), self.publish(owner)
        for version in (first, second):
            self.registry.promote(version)
        await self.note(LoraAction.PROMOTED, second, AT + HOUR)
        await self.sign(first.name, AT, times=15, signer=signer)
        await self.sign(second.name, AT + 2 * HOUR, as_it_is=False, times=times, signer=signer)
        return first, second

    def events(self, owner: str = OWNER) -> list[tuple[LoraAction, str]]:
        """What was noted of an owner's versions."""
        told = self.journal.read_now(partial(lora_events.of_owner, owner=owner))
        return [(event.action, event.version) for event in told]

    def noted(self) -> list[Note]:
        """What the audit trail holds."""
        rows = self.journal.read_now(lambda conn: conn.execute(select(audit_pending)).all())
        return [read(row.document, row.at) for row in rows]

    def watched(self, owner: str = OWNER) -> list[Watched]:
        """What is watched now."""
        told = self.journal.read_now(partial(lora_events.of_owner, owner=owner))
        return list(find_watched("1234", self.registry.aliases(owner), told))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """The watcher at work."""
        task = asyncio.create_task(self.watcher.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.005)

    def count(self, line: str) -> bool:
        """Whether this line is on the metrics' page."""
        return line in self.metrics.page().decode().splitlines()


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """Nobody has a version yet."""
    for pause in ("PAUSE_S", "RETRY_S", "MEND_S"):
        monkeypatch.setattr(watching, pause, 0.01)
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    registry, metrics = LoraRegistry(tmp_path / "registry"), Metrics()
    watcher = Watcher(journal, registry=registry, rules=Trial(least=4), metrics=metrics)
    yield Room(journal=journal, registry=registry, watcher=watcher, metrics=metrics, folder=tmp_path / "made")
    await journal.close()


async def test_a_draft_that_was_signed_late_moves_no_pair(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft from before a promotion that is signed after the first of the new ones changes nothing of the watch."""
    first, second = room.publish(), room.publish()
    for version in (first, second):
        room.registry.promote(version)
    await room.note(LoraAction.PROMOTED, second, AT + HOUR)
    for as_it_is in (True, False, True, False):
        await room.sign(first.name, AT, as_it_is=as_it_is)
    late = await room.draft(first.name, AT)
    await room.sign(second.name, AT + 2 * HOUR, times=3)
    (watched,) = room.watched()
    numbers: list[list[int]] = []

    def read(new: Sequence[Outcome], old: Sequence[Outcome], rules: Trial, phase: Phase) -> Reading:
        numbers.append([outcome.number for outcome in (*new, *old)])
        return read_trial(new, old, rules, phase)

    monkeypatch.setattr(watching, "read_trial", read)
    look = partial(read_watched, watched=watched, rules=Trial())
    before = room.journal.read_now(look)
    await room.sign_over(late, as_it_is=False)
    assert room.journal.read_now(look) == before
    assert numbers == [[5, 6, 7, 4, 3, 2, 1]] * 2


async def test_one_decision_a_look(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a challenger wins over a champion that does harm, that is the only flip, and the winner is watched."""
    first, second, third = room.publish(), room.publish(), room.publish()
    for version in (first, second):
        room.registry.promote(version)
    room.registry.challenge(third)
    await room.note(LoraAction.PROMOTED, second, AT)
    await room.note(LoraAction.CHALLENGED, third, AT)
    reads: list[tuple[LoraVersion, Phase]] = []

    def read(conn: Connection, watched: Watched, rules: Trial) -> Reading:
        reads.append((watched.version, watched.phase))
        decision = Decision.PROMOTE if watched.phase is Phase.TRIAL else Decision.WAIT
        return Reading(phase=watched.phase, decision=Decision.ROLL_BACK if watched.version == second else decision)

    monkeypatch.setattr(watching, "read_watched", read)
    await room.sign(third.name, AT)
    async with room.watching():
        await room.until(lambda: len(reads) == 2)
    assert reads == [(third, Phase.TRIAL), (third, Phase.WATCH)]
    assert room.events()[2:] == [(LoraAction.PROMOTED, third.name)]


async def test_who_comes_too_late_notes_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody else flipped while a version was read, nothing is noted or counted."""
    _, second = await room.harm()
    third = room.publish()

    def read(conn: Connection, watched: Watched, rules: Trial) -> Reading:
        room.registry.promote(third)
        return read_watched(conn, watched, rules)

    monkeypatch.setattr(watching, "read_watched", read)
    async with room.watching():
        await room.until(lambda: room.count('radbridge_trial_harm{phase="watch"} 1.0'))
    assert room.registry.champion(OWNER) == third
    assert room.events() == [(LoraAction.PROMOTED, second.name)]
    assert "radbridge_trial_decisions_total{" not in room.metrics.page().decode()


async def test_the_trail_knows_before_the_files_flip(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a decision can be noted nothing is flipped; one whose event is lost is in the trail all the same."""
    first, second = await room.harm()
    served: list[LoraVersion | None] = []
    record = audit.record

    def note(conn: Connection, notes: Sequence[Note]) -> list[None]:
        served.append(room.registry.champion(OWNER))
        if len(served) < 3:
            raise JournalError("away")
        return record(conn, notes)

    def lose(*_: object) -> list[None]:
        raise JournalError("away")

    monkeypatch.setattr(audit, "record", note)
    monkeypatch.setattr(lora_events, "record", lose)
    async with room.watching():
        await room.until(lambda: room.registry.champion(OWNER) == first)
    assert (len(served) >= 3, set(served)) == (True, {second})
    wanted = [note for note in room.noted() if "wanted" in note.detail]
    assert [(note.actor, note.detail["lora"]) for note in wanted] == [(watching.ACTOR, second.name)]


async def test_what_cannot_be_done_is_noted_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that can't be changed for a while is tried again, with one note of what is wanted."""
    first, _ = await room.harm()
    lose, tries = room.registry.lose, count()

    def refuse(version: LoraVersion, **more: Any) -> Aliases | None:
        if next(tries) < 3:
            raise RegistryError("read-only")
        return lose(version, **more)

    monkeypatch.setattr(room.registry, "lose", refuse)
    async with room.watching():
        await room.until(lambda: room.registry.champion(OWNER) == first)
    assert len([note for note in room.noted() if "wanted" in note.detail]) == 1


async def test_a_marked_challenger_is_withdrawn(room: Room) -> None:
    """A challenger that learned from what was withdrawn never wins, however good its drafts are."""
    first, second = room.publish(), room.publish()
    room.registry.promote(first)
    room.registry.challenge(second)
    await room.note(LoraAction.CHALLENGED, second, AT)
    await room.mark(second)
    for _ in range(40):
        await room.sign(first.name, AT, as_it_is=False)
        await room.sign(second.name, AT)
    async with room.watching():
        await room.until(lambda: room.events()[-1] == (LoraAction.WITHDRAWN, second.name))
    assert room.registry.alias_names(OWNER).challenger == ""
    assert room.registry.champion(OWNER) == first
    told = room.journal.read_now(partial(lora_events.of_owner, owner=OWNER))
    assert told[-1].reason.startswith(TO_BE_TRAINED_ANEW)


async def test_a_marked_version_does_not_come_back(room: Room) -> None:
    """Where the version before a harmful champion learned from what was withdrawn, the owner has none any more."""
    first, _ = await room.harm()
    await room.mark(first)
    async with room.watching():
        await room.until(lambda: room.events()[-1] == (LoraAction.ROLLED_BACK, OWNER))
    assert room.registry.champion(OWNER) is None


@pytest.mark.parametrize("known", [LoraAction.PUBLISHED, LoraAction.CHALLENGED])
async def test_a_promotion_that_nobody_noted_is_watched(room: Room, known: LoraAction) -> None:
    """A champion whose promotion was never recorded is watched since the last thing that is known of it."""
    first, second = room.publish(), room.publish()
    for version in (first, second):
        room.registry.promote(version)
    await room.note(LoraAction.PROMOTED, first, AT - HOUR)
    await room.note(known, second, AT + HOUR)
    await room.note(LoraAction.PUBLISHED, room.publish(), AT + 9 * HOUR)
    assert [(w.version, w.since) for w in room.watched()] == [(second, AT + HOUR)]
    await room.sign(first.name, AT, times=15)
    await room.sign(second.name, AT + 2 * HOUR, as_it_is=False, times=15)
    async with room.watching():
        await room.until(lambda: room.registry.champion(OWNER) == first)


async def test_a_trial_that_nobody_noted_is_read(room: Room) -> None:
    """A challenger without its event is on trial since it was published; of an owner without events nobody knows."""
    version = room.publish()
    room.registry.challenge(version)
    assert room.watched() == []
    await room.note(LoraAction.PUBLISHED, version, AT)
    await room.mark(version)
    assert [(w.phase, w.since) for w in room.watched()] == [(Phase.TRIAL, AT)]


async def test_a_champion_that_came_back_has_had_its_watch(room: Room) -> None:
    """After a rollback that was noted nothing is watched, whatever was published since."""
    first, second = room.publish(), room.publish()
    room.registry.promote(first)
    await room.note(LoraAction.PROMOTED, second, AT)
    await room.note(LoraAction.ROLLED_BACK, first, AT + HOUR)
    await room.note(LoraAction.PUBLISHED, room.publish(), AT + 2 * HOUR)
    assert room.watched() == []


async def test_nobody_is_passed_over_after_an_error(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that has no answer once, and a registry that has none for a while, lose no look at anybody."""
    first, _ = await room.harm()
    other, _ = await room.harm(OTHER, "5678")
    aliases = room.registry.root / OTHER / ALIASES
    sound = aliases.read_bytes()
    aliases.write_bytes(b"{")
    looks = count()

    def read(conn: Connection, watched: Watched, rules: Trial) -> Reading:
        if next(looks) == 0:
            raise JournalError
        return read_watched(conn, watched, rules)

    monkeypatch.setattr(watching, "read_watched", read)
    async with room.watching():
        await room.until(lambda: room.registry.champion(OWNER) == first)
        await room.until(lambda: not room.count("radbridge_trial_errors_total 0.0"))
        aliases.write_bytes(sound)
        await room.until(lambda: room.registry.champion(OTHER) == other)


async def test_the_harm_that_is_told_is_the_largest(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge tells of whoever is worst off, not of who was looked at last; what was taken back counts no more."""
    first, second = await room.harm(times=2)
    await room.harm(OTHER, "5678", times=0)
    await room.sign("base", AT, signer="5678")
    (watched,) = room.watched()
    harm = room.journal.read_now(partial(read_watched, watched=watched, rules=Trial())).harm
    looks: list[str] = []

    def find(radiologist: str, *told: Any) -> Iterator[Watched]:
        looks.append(radiologist)
        return find_watched(radiologist, *told)

    monkeypatch.setattr(watching, "find_watched", find)
    async with room.watching():
        await room.until(lambda: looks == ["1234", "5678"])
        await room.sign("base", AT, signer="5678")
        room.watcher.alarm.ring()
        await room.until(lambda: looks == ["1234", "5678", "5678"])
        assert harm > 1
        assert room.count(f'radbridge_trial_harm{{phase="watch"}} {harm}')
        await room.sign(second.name, AT + 2 * HOUR, as_it_is=False, times=15)
        room.watcher.alarm.ring()
        await room.until(lambda: room.registry.champion(OWNER) == first)
        await room.until(lambda: room.count('radbridge_trial_harm{phase="watch"} 1.0'))
