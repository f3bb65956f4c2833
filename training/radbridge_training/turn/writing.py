"""The first step alone, for everybody: rows in a folder, for whoever wants to see or use them."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from radbridge.registry import owner_of
from radbridge_training.optimize.figures import tell_nobody
from radbridge_training.turn.done import Done, read_done
from radbridge_training.turn.examples import EXAMPLES, MakeExamples
from radbridge_training.turn.job import Job, Owner
from radbridge_training.turn.plan import count_asked
from radbridge_training.turn.steps import run_steps
from radbridge_training.turn.workshop import Workshop
from radbridge_training.turn_recipe import TurnRecipe


def write_examples(
    shop: Workshop, recipe: TurnRecipe, into: Path, only: Collection[str]
) -> Iterator[tuple[str, Done | None, str]]:
    """Owner, what was written, or why nothing was. Raises ConfigError for somebody in `only` who has no report."""
    with shop.stores.connect() as conn:
        counts = count_asked(conn, only)
    step = MakeExamples(shop.site, shop.stores, shop.serving.ways, shop.secret, command="train examples")
    for radiologist, reports in counts.items():
        name = owner_of("rad", radiologist)
        job = Job(
            folder=into / name,
            owner=Owner(radiologist=radiologist, owner=name, reports=reports, new=reports),
            recipe=recipe,
            base=shop.serving.base,
            base_digest=shop.serving.digest,
            ways=shop.serving.ways,
        )
        shutil.rmtree(job.folder / EXAMPLES, ignore_errors=True)  # rows of today, not those that a turn began with
        outcome = run_steps(job, [step], tell_nobody)
        yield name, read_done(job.folder / EXAMPLES), outcome.reason
