"""Where everybody stands: reports, the last turn, what drafts for them, what is on trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection

from radbridge.errors import LoraRefused
from radbridge.flow.watching import find_watched, read_watched
from radbridge.journal import learning, lora_events, sources
from radbridge.registry import Aliases, owner_of
from radbridge.trials import Phase
from radbridge_training.turn.folder import Turn, list_turns
from radbridge_training.turn.job import tell_outcome
from radbridge_training.turn.plan import read_upto
from radbridge_training.turn.workshop import Workshop, read_looked


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where one radiologist stands."""

    radiologist: str
    reports: int
    """That are remembered."""
    new: int
    """Since the last turn that looked at them, or the champion that learned from them."""
    last: str
    """How the last turn ended for them; empty: none has."""
    champion: str = ""
    challenger: str = ""
    is_marked: bool = False
    """The champion learned from something that was withdrawn."""
    trials: tuple[str, ...] = ()


def read_standings(shop: Workshop) -> Iterator[Standing]:
    """Everybody of whom a report is remembered."""
    turns = list(list_turns(shop.site.training.work))
    looked = read_looked(shop.site.training.work)
    with shop.stores.connect() as conn:
        marked = sources.marked(conn)
        for radiologist, reports in sorted(learning.count_reports(conn).items()):
            owner = owner_of("rad", radiologist)
            aliases = Aliases()
            with suppress(LoraRefused):  # damaged: `radbridge loras show` tells more
                aliases = shop.registry.aliases(owner)
            champion, challenger = aliases.champion, aliases.challenger
            upto = max(looked.get(owner, 0), (champion and read_upto(champion)) or 0)
            yield Standing(
                radiologist=radiologist,
                reports=reports,
                new=learning.count_newer(conn, radiologist, upto),
                last=_tell_last(turns, owner, radiologist),
                champion=champion.folder if champion else "",
                challenger=challenger.folder if challenger else "",
                is_marked=champion is not None and champion.name in marked,
                trials=tuple(_tell_trials(shop, conn, radiologist, aliases)),
            )


def _tell_last(turns: Sequence[Turn], owner: str, radiologist: str) -> str:
    """How the last turn that trained for them ended, and why a later one didn't."""
    since = ""
    for turn in turns:
        if any(part.owner == owner for part in turn.told.owners):
            outcome = turn.outcome(owner)
            return (tell_outcome(outcome) if outcome else "under way, or broken off") + (since and f"; then {since}")
        reason = next((skip.reason for skip in turn.told.skips if skip.radiologist == radiologist), "")
        since = since or (reason and f"left out: {reason}")
    return since


def _tell_trials(shop: Workshop, conn: Connection, radiologist: str, aliases: Aliases) -> Iterator[str]:
    events = lora_events.of_owner(conn, owner_of("rad", radiologist))
    for watched in find_watched(radiologist, aliases, events):
        reading = read_watched(conn, watched, shop.site.training.trial)
        what = "on trial" if watched.phase is Phase.TRIAL else "watched"
        win = f", win {reading.win:.3g}" if watched.phase is Phase.TRIAL else ""
        yield f"{watched.version.folder} {what}: {reading.pairs} pairs, harm {reading.harm:.3g}{win}"
