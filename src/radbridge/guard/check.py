"""The guard: every check of a draft, in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from radbridge.draft import Flag
from radbridge.entities import load_lexicon, read_entities
from radbridge.guard.absences import check_absences
from radbridge.guard.content import check_omitted, check_support
from radbridge.guard.critical import note_critical
from radbridge.guard.devices import check_placement
from radbridge.guard.directions import check_directions
from radbridge.guard.identifiers import check_identifiers
from radbridge.guard.instructions import check_instructions
from radbridge.guard.measured import check_examined, check_measured
from radbridge.guard.patient import check_age, check_sex
from radbridge.guard.places import check_places
from radbridge.guard.polarity import check_certainty, check_polarity, check_signs
from radbridge.guard.quantities import check_counts, check_measures
from radbridge.guard.sides import check_sides
from radbridge.guard.sources import Sources
from radbridge.guard.trends import check_prior, check_trends
from radbridge.imaging import Measured

MAX_DRAFT_CHARS = 12_000
"""What is read of a draft: several times the longest impression."""
MAX_FLAGS = 10
"""Flags of one kind that are told."""


class Guard:
    """What the drafts of one case are held to: read once, for every text that is to be checked."""

    def __init__(
        self,
        findings: str,
        *,
        indication: str = "",
        comparison: str = "",
        sex: str = "",
        modality: str = "",
        age: int | None = None,
        lexicon: tuple[Path, ...] = (),
    ) -> None:
        """`sex` is `M` or `F`, `age` in years; `modality` isn't used yet; `lexicon` are files of a site's own."""
        self._lexicon = load_lexicon(*lexicon)
        told, asked, before = (read_entities(t, lexicon=self._lexicon) for t in (findings, indication, comparison))
        self._sources = Sources(told, asked, before)
        self._sex = sex
        self._age = age

    def check(self, draft: str) -> tuple[Flag, ...]:
        """What a reader of `draft` should know, gravest kinds first; empty where nothing is found.

        `draft` may be a signed impression as well. Texts are read up to `radbridge.text.MAX_CHARS`, a draft up to
        `MAX_DRAFT_CHARS`. Spans are characters of the texts as given.
        """
        said = read_entities(draft, at_most=MAX_DRAFT_CHARS, lexicon=self._lexicon)
        sources = self._sources
        if not said.statements:
            return ()
        found = (
            check_places(said, sources),
            check_sides(said, sources),
            check_polarity(said, sources),
            check_signs(said, sources),
            check_absences(said, sources),
            check_placement(said, sources),
            check_measures(said, sources),
            check_sex(said, self._lexicon, self._sex),
            check_age(said, self._lexicon, self._age) if self._age is not None else (),
            check_identifiers(said.text),
            check_omitted(said, sources.findings),
            check_instructions(said.text),
            check_directions(said, sources),
            check_support(said, sources),
            check_certainty(said, sources),
            check_counts(said, sources),
            check_trends(said, sources),
            check_prior(said, sources),
            note_critical(said, sources.findings),
        )
        return tuple(_at_most(MAX_FLAGS, chain.from_iterable(found)))

    def check_machines(self, measured: Sequence[Measured], *, side: str = "", body_part: str = "") -> tuple[Flag, ...]:
        """What a reader should know of the findings themselves, beside machines' measurements and the side examined.

        `side` is `L`, `R` or empty; `body_part` is in the words of `radbridge.procedure.BODY_PARTS`.
        """
        told = self._sources.findings
        found = (check_measured(told, measured, self._lexicon), check_examined(told, side, body_part))
        return tuple(_at_most(MAX_FLAGS, chain.from_iterable(found)))


def check_draft(draft: str, findings: str, **case: Any) -> tuple[Flag, ...]:
    """The flags of one draft: `Guard(findings, **case).check(draft)`."""
    return Guard(findings, **case).check(draft)


def _at_most(most: int, flags: Iterable[Flag]) -> Iterator[Flag]:
    """So many flags of each kind; nobody reads more."""
    counts: Counter[str] = Counter()
    for flag in flags:
        counts[flag.kind] += 1
        if counts[flag.kind] <= most:
            yield flag
