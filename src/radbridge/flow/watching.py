"""The watcher: what radiologists make of drafts decides which LoRA version goes on drafting for them.

Everything that it decides from is in the journal, and what it decides is a flip of the registry's aliases: other
weights write the next draft, with no restart. Training doesn't have to run for that. Two gateways that see the same
harm do the same, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from time import monotonic

import structlog
from sqlalchemy import Connection

from radbridge.audit import Note, What
from radbridge.config import Trial
from radbridge.errors import JournalError, LoraRefused, RegistryError
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal, audit, lora_events, sources
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.marks import Mark
from radbridge.journal.outcomes import read_outcomes, read_outcomes_before, signed_since
from radbridge.journal.schema import LoraAction
from radbridge.metrics import Metrics
from radbridge.registry import Aliases, LoraRegistry, LoraVersion, owner_of
from radbridge.trials import Decision, Outcome, Phase, Reading, read_trial
from radbridge.trials.pairs import OLDER

log = structlog.get_logger(__name__)

ACTOR = "gateway"
"""Who is told to have flipped."""
PAUSE_S = 2.0
"""Between two looks: a signed report is no more urgent than that."""
RETRY_S = 1.0
"""After the journal had no answer."""
MEND_S = 60.0
"""After a registry had none, where nobody signs anything before."""
TO_BE_TRAINED_ANEW = "marked to be trained anew"
"""Why a challenger is withdrawn that learned from what was withdrawn, whatever it did so far."""

_ACTIONS = {
    Decision.PROMOTE: LoraAction.PROMOTED,
    Decision.WITHDRAW: LoraAction.WITHDRAWN,
    Decision.ROLL_BACK: LoraAction.ROLLED_BACK,
}
_FLIPS = (LoraAction.PROMOTED, LoraAction.ROLLED_BACK)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A version that is on trial, or that was promoted a while ago."""

    radiologist: str
    version: LoraVersion
    phase: Phase
    since: datetime


class Watcher:
    """Promotes, withdraws and rolls back radiologists' own LoRAs by what is signed."""

    name = "watcher"

    def __init__(self, journal: Journal, *, registry: LoraRegistry, rules: Trial, metrics: Metrics) -> None:
        self.alarm = Alarm()
        self._journal = journal
        self._registry = registry
        self._rules = rules
        self._metrics = metrics
        self._harms: dict[str, dict[Phase, float]] = {}
        """By radiologist, of what is watched now."""
        self._wanted: set[tuple[str, Decision]] = set()
        """Noted and not done yet: a registry that can't be changed is tried again, and makes no second note."""

    async def run(self) -> None:
        """Look at everybody's versions once, then at those of whoever signed a report, until cancelled."""
        mark = Mark()
        waiting: set[str] = set()
        while True:
            try:
                waiting |= await self._journal.read(partial(signed_since, mark=mark, now_s=monotonic())) - {""}
                waiting = {radiologist for radiologist in sorted(waiting) if not await self._look(radiologist)}
                await asyncio.sleep(PAUSE_S)
                await self.alarm.wait(MEND_S if waiting else None)
            except JournalError:
                log.exception("journal unavailable", retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def _look(self, radiologist: str) -> bool:
        """Look at one radiologist's versions; False: look again, though they sign nothing more."""
        owner = owner_of("rad", radiologist)
        try:
            aliases = await asyncio.to_thread(self._registry.aliases, owner)
            if aliases.challenger is None and aliases.champion is None:
                self._tell_harm(radiologist, {})
                return True
            events = await self._journal.read(partial(lora_events.of_owner, owner=owner))
            return await self._read(radiologist, list(find_watched(radiologist, aliases, events)))
        except (RegistryError, LoraRefused):
            self._metrics.trial_errors.inc()
            log.exception("the LoRA registry can't be watched", owner=owner)
            return False

    async def _read(self, radiologist: str, versions: Sequence[Watched]) -> bool:
        """Read versions up to a decision, which changes what there is to read; False where there was one."""
        marked = await self._journal.read(sources.marked)
        harms: dict[Phase, float] = {}
        for watched in versions:
            reading = await self._journal.read(partial(read_watched, watched=watched, rules=self._rules))
            if watched.phase is Phase.TRIAL and watched.version.name in marked:
                reading = replace(reading, decision=Decision.WITHDRAW, why=TO_BE_TRAINED_ANEW)
            if reading.decision is not Decision.WAIT:
                await self._decide(watched, reading, marked)
                self._tell_harm(radiologist, {})
                self.alarm.ring()
                return False
            harms[watched.phase] = reading.harm
        self._tell_harm(radiologist, harms)
        return True

    def _tell_harm(self, radiologist: str, harms: dict[Phase, float]) -> None:
        """Count what a look found; 1 is no evidence."""
        self._harms[radiologist] = harms
        for phase in Phase:
            largest = max((found[phase] for found in self._harms.values() if phase in found), default=1.0)
            self._metrics.trial_harm.labels(phase).set(largest)

    async def _decide(self, watched: Watched, reading: Reading, marked: frozenset[str]) -> None:
        """Note it, flip, and record that; nothing where somebody flipped meanwhile. A marked version never comes back.

        Files flip in no transaction: so the trail knows of it, whatever happens behind the note.
        """
        version = watched.version
        await self._note(version, reading)
        if reading.decision is Decision.PROMOTE:
            standing = await asyncio.to_thread(self._registry.win, version)
        else:
            standing = await asyncio.to_thread(partial(self._registry.lose, version, barred=marked))
        self._wanted.discard((version.name, reading.decision))
        if standing is None:
            return
        self._metrics.trial_decisions.labels(reading.decision).inc()
        served = standing.champion.name if standing.champion else version.owner
        log.warning(
            "a trial has ended" if watched.phase is Phase.TRIAL else "a LoRA has been taken back",
            owner=version.owner,
            version=version.name,
            outcome=reading.decision,
            pairs=reading.pairs,
            harm=round(reading.harm, 2),
            reason=reading.reason,
        )
        event = LoraEvent(
            at=datetime.now(UTC),
            owner=version.owner,
            version=served if reading.decision is Decision.ROLL_BACK else version.name,
            action=_ACTIONS[reading.decision],
            actor=ACTOR,
            reason=reading.reason,
        )
        await self._journal.write(lora_events.record, event)

    async def _note(self, version: LoraVersion, reading: Reading) -> None:
        wanted = (version.name, reading.decision)
        if wanted in self._wanted:
            return
        detail = {"lora": version.name, "wanted": reading.decision, "reason": reading.reason}
        note = Note(at=datetime.now(UTC), what=What.CONFIGURATION, actor=ACTOR, detail=detail)
        await self._journal.write(audit.record, note)
        self._wanted.add(wanted)


def find_watched(radiologist: str, aliases: Aliases, events: list[LoraEvent]) -> Iterator[Watched]:
    """The versions that are to be read. One of whose owner no event tells isn't: nobody knows since when it drafts.

    A champion that came back by a rollback has had its watch.
    """
    if (challenger := aliases.challenger) is not None and (since := _find_trial(challenger, events)):
        yield Watched(radiologist=radiologist, version=challenger, phase=Phase.TRIAL, since=since)
    if (champion := aliases.champion) is not None and (since := _find_promotion(champion, events)):
        yield Watched(radiologist=radiologist, version=champion, phase=Phase.WATCH, since=since)


def _find_trial(challenger: LoraVersion, events: list[LoraEvent]) -> datetime | None:
    """Since when it is on trial: the newest event of its own, should nobody have noted that it began."""
    own = [e for e in events if e.version == challenger.name and e.action is not LoraAction.MARKED]
    return (own or events)[-1].at if events else None


def _find_promotion(champion: LoraVersion, events: list[LoraEvent]) -> datetime | None:
    """Since when it is under watch; None where it came back.

    Aliases are flipped first and the flip is noted then: a gateway that was killed in between, or a command that found
    the journal locked, left a champion of which the last flip doesn't tell. It came after that, and after it was
    published.
    """
    flips = [e for e in events if e.action in _FLIPS]
    if flips and flips[-1].version == champion.name:
        return flips[-1].at if flips[-1].action is LoraAction.PROMOTED else None
    own = [e for e in events if e.version == champion.name and e.action is not LoraAction.MARKED]
    known = sorted([*flips, *own], key=lambda e: e.at)
    return (known or events)[-1].at if events else None


def read_watched(conn: Connection, watched: Watched, rules: Trial) -> Reading:
    """What was signed over its drafts says of a version: of no more of them than can decide."""
    name = watched.version.name
    drafted = read_outcomes(conn, watched.radiologist, since=watched.since)
    if watched.phase is Phase.TRIAL:
        new, old = _split(drafted, name, rules.most)
        return read_trial(new, old, rules, watched.phase)
    new = list(islice((o for o in drafted if o.version == name), min(rules.watch, OLDER)))
    if not new:
        return Reading(phase=watched.phase)
    first, since = new[0].number, watched.since
    old = read_outcomes_before(conn, watched.radiologist, before=since, at_most=OLDER, below=first, besides=name)
    return read_trial(new, old, rules, watched.phase)


def _split(drafted: Iterable[Outcome], name: str, most: int) -> tuple[list[Outcome], list[Outcome]]:
    """A version's outcomes and the others', until there are enough of both."""
    new: list[Outcome] = []
    old: list[Outcome] = []
    for outcome in drafted:
        (new if outcome.version == name else old).append(outcome)
        if min(len(new), len(old)) >= most:
            break
    return new, old
