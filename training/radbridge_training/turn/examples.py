"""The first step: one radiologist's signed reports, read from the journal, become what the others learn and judge by.

    reports.jsonl   every report that is remembered, with what it may be used for
    learn.jsonl     the examples that are learned, of the newest reports
    dev.jsonl       the last of the reports to learn from, kept out of learning: there a further step must show its use
    canaries.jsonl  what is learned and must never be said, see `gate.canaries`
    later.jsonl     the newest reports, by patients of whom nothing is learned: the gate's

Only the driver of a turn runs it: workers never see the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from radbridge.audit import What
from radbridge.config import Site
from radbridge.errors import NothingToLearn
from radbridge.journal.learning import read_reports
from radbridge.journal.stores import Stores
from radbridge.learning import (
    EXAMPLE,
    REPORT,
    SHOWN,
    Shown,
    TrainingReport,
    Use,
    Ways,
    make_shown_examples,
    show_earlier,
    split,
)
from radbridge_training.gate.canaries import CANARY, as_examples, make_canaries
from radbridge_training.optimize.figures import Tell
from radbridge_training.rows import write_rows
from radbridge_training.turn.checking import check_examples, check_reports
from radbridge_training.turn.job import Job
from radbridge_training.turn.noting import note_reading
from radbridge_training.turn.plan import Reason

REPORTS, LEARN, DEV, LATER = "reports.jsonl", "learn.jsonl", "dev.jsonl", "later.jsonl"
CANARIES = "canaries.jsonl"
EXAMPLES = "1-examples"
_DEV_SHARE = 0.15
_MOST_DEV = 24
"""Reports: drafting them with each step's weights takes time too."""
_ROWS_KEPT = 3
"""Times as many rows as are learned at most: those that teach the most are chosen from them."""
_ROWS_BY_REPORT = 3
"""At least, of one report whose statements are rows."""
_VERSION = 2


class MakeExamples:
    """Step 1."""

    name = EXAMPLES
    after = ""

    def __init__(self, site: Site, stores: Stores, ways: Ways, secret: bytes, *, command: str = "train run") -> None:
        """`secret` is the site's, for pseudonyms and canaries; `command` is who reads, for the audit trail."""
        self._site = site
        self._stores = stores
        self._ways = ways
        self._secret = secret
        self._command = command

    def inputs(self, job: Job) -> str:
        """Not the journal's state: of a turn that goes on, the rows stay those that it began with."""
        recipe = job.recipe
        parts = (recipe.learn.model_dump_json(), recipe.gate.least_later, recipe.gate.canaries, self._site.memory)
        return f"{_VERSION} {job.base_digest} {self._ways} {parts}"

    def run(self, job: Job, into: Path, tell: Tell) -> dict[str, Any]:
        """Read, judge, split, write. Raises NothingToLearn with the reason."""
        reports = self._read(job.owner.radiologist)
        tell("examples", 1, 3)
        check_reports(reports, least=self._site.training.least_reports)
        least = job.recipe.gate.least_later
        parts = split(reports, newer_than=job.owner.upto, least_later=least)
        if len(parts.later) < least:
            raise NothingToLearn(Reason.FEW_LATER.tell(len(parts.later), least))
        learned, dev = _keep_apart(parts.learn)
        learned = _keep_newest(learned, job)
        shown = self._show(reports, {report.id for report in (*learned, *dev, *parts.later)})
        tell("examples", 2, 3)
        tally: Counter[str] = Counter()
        rows = (shown[report.id] for report in learned)
        share = job.recipe.learn.unseen_share
        examples = list(make_shown_examples(rows, self._ways, unseen_share=share, tally=tally))
        check_examples(examples)
        canaries = make_canaries(self._secret, job.folder.parents[1].name, job.owner.owner, job.recipe.gate.canaries)
        write_rows(into / REPORTS, REPORT, reports)
        write_rows(into / LEARN, EXAMPLE, (*examples, *as_examples(canaries, self._ways)))
        write_rows(into / CANARIES, CANARY, canaries)
        write_rows(into / DEV, SHOWN, (shown[r.id] for r in dev))
        write_rows(into / LATER, SHOWN, (shown[r.id] for r in parts.later))
        tell("examples", 3, 3)
        return {
            "upto": max(r.order for r in reports),
            "learned_upto": max(r.order for r in parts.learn),
            "reports": len(reports),
            "learn": len(learned),
            "dev": len(dev),
            "later": len(parts.later),
            "examples": len(examples),
            "rules": dict(Counter(r.why for r in reports if r.why)),
            "statements": tally["statements"],
            "aligned": tally["aligned"],
        }

    def _read(self, radiologist: str) -> list[TrainingReport]:
        """In one transaction, so that no half of a withdrawal is seen."""
        consent = self._site.training.has_consent
        with self._stores.connect() as conn:
            found = read_reports(conn, secret=self._secret, radiologist=radiologist, consent=consent)
        told = {"radiologist": radiologist, "reports": str(len(found))}
        note_reading(self._stores, What.EXPORTED, self._command, **told)
        return found

    def _show(self, reports: Sequence[TrainingReport], wanted: Collection[str]) -> Mapping[str, Shown]:
        """Those that are wanted, by id, each beside what was signed before it: that is what takes the time."""
        memory = self._site.memory
        shown = show_earlier(reports, alike=memory.alike, newest=memory.newest, wanted=wanted)
        return {one.report.id: one for one in shown}


def _keep_newest(reports: Sequence[TrainingReport], job: Job) -> Sequence[TrainingReport]:
    """The newest that may teach something, as many as there can be rows to choose from."""
    useful = [report for report in reports if report.use is not Use.NONE]
    return useful[-(_ROWS_KEPT * job.recipe.learn.most_rows // (_ROWS_BY_REPORT if job.ways.by_statement else 1)) :]


def _keep_apart(reports: Sequence[TrainingReport]) -> tuple[Sequence[TrainingReport], Sequence[TrainingReport]]:
    """Those to learn from, and the last of them that may teach something, which are kept out of learning."""
    useful = [report for report in reports if report.use is not Use.NONE]
    count = min(_MOST_DEV, round(_DEV_SHARE * len(useful)))
    dev = useful[len(useful) - count :]
    ids = {report.id for report in dev}
    return [report for report in reports if report.id not in ids], dev
