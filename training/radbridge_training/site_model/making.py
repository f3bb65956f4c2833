"""Makes a site model of signed reports: what it remembers, what it learns, and the folder that is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from radbridge.candidates import (
    CHOOSING,
    POOL,
    Chooser,
    Context,
    Report,
    SitePool,
    describe,
    gather,
    write_chooser,
    write_pool,
)
from radbridge.errors import ConfigError
from radbridge.registry import MANIFEST, write_manifest
from radbridge_training.site_model.learning import Lesson, Plan, train
from radbridge_training.site_model.reports import SignedReport, count_taken_up
from radbridge_training.site_model.worth import Appraiser
from radbridge_training.staging import put, stage

LABEL_SHARE = 0.2
"""What the right findings count beside the right words."""

Watch = Callable[[Iterable[SignedReport], int], Iterable[SignedReport]]
"""Passes reports on and shows how far they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteModel:
    """What stands beside the weights of the base."""

    reports: Sequence[Report]
    chooser: Chooser
    plan: Plan


def make_site_model(
    signed: Sequence[SignedReport], plan: Plan, *, watch: Watch, on_epoch: Callable[[], object]
) -> SiteModel:
    """A site model of signed reports. Each is a lesson with its own text left out of what may be copied."""
    reports = [report.as_pooled() for report in signed]
    pool, taken_up = SitePool(reports), count_taken_up(reports)
    lessons = [lesson for lesson in _make_lessons(pool, watch(signed, len(signed)), taken_up) if lesson.rows]
    if not lessons:
        raise ConfigError(["none of the reports has findings that state anything: nothing can be learnt"])
    return SiteModel(reports=reports, chooser=train(lessons, taken_up, plan, on_epoch), plan=plan)


def _make_lessons(pool: SitePool, signed: Iterable[SignedReport], taken_up: Mapping[str, float]) -> Iterator[Lesson]:
    appraiser = Appraiser(LABEL_SHARE)
    for number, report in enumerate(signed):
        context = Context(
            indication=report.indication,
            comparison=report.comparison,
            modality=report.modality,
            sex=report.sex,
            age=report.age,
        )
        case = gather(pool, pool.reports[number].findings, context, without=number)
        rows = describe(case, pool, taken_up, without=number)
        yield Lesson(rows=rows, worths=appraiser.appraise([c.text for c in case.candidates], report.impression))


def write_site_model(folder: Path, model: SiteModel, *, base: Path, name: str) -> None:
    """A base's folder that serves the site model: the base's own files unchanged, pool, chooser, manifest.

    Written beside `folder` and renamed. Raises ConfigError when `base` is no base.
    """
    manifest = _read_manifest(base)
    staged = stage(folder)
    for file in base.iterdir():
        if file.is_file() and file.name not in (MANIFEST, POOL, CHOOSING):
            shutil.copyfile(file, staged / file.name)
    digest = write_pool(staged / POOL, model.reports)
    write_chooser(staged / CHOOSING, model.chooser)
    told = {
        "name": name,
        "serving": {"strategy": "coarse_to_fine", "pool_sha256": digest},
        "site_model": {"reports": len(model.reports), "label_share": LABEL_SHARE, **asdict(model.plan)},
    }
    write_manifest(staged, manifest | told)
    put(staged, folder)


def _read_manifest(base: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((base / MANIFEST).read_bytes())
    except (OSError, ValueError):
        raise ConfigError([f"{base / MANIFEST}: can't be read; --base names the folder of a base model"]) from None
    return dict(manifest)
