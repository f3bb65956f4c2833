"""Which earlier study a draft is compared with, and what may be made of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from radbridge.case import Case, CaseKey, CaseState, Patient, ReportText, Study
from radbridge.draft import DraftImpression, FlagKind, Stage
from radbridge.flow.judging import Judge
from radbridge.flow.priors import choose, load_with_prior
from radbridge.guard.policy import GuardPolicy
from radbridge.imaging import MAX_IMPRESSION_CHARS, Prior, Told
from radbridge.journal import Journal, cases
from radbridge.prompt import PromptInput, build_prompt
from radbridge_model_server.drafts.context import Fitted, fit_prompt

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JANE = Patient(id="900001", issuer="HOSP")
CHEST = Study(modality="CT", body_part="CHEST", uid="1.9", at=NOON)
NOW = Case(key=CaseKey(accession="A9"), patient=JANE, study=CHEST, report=ReportText(findings="Clear."))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    yield opened
    await opened.close()


def archived(year: int, modality: str = "CT", part: str = "CHEST", uid: str = "") -> Prior:
    return Prior(study_uid=uid or f"1.{year}", on=date(year, 1, 1), modality=modality, body_part=part)


def reported(year: int, impression: str = "Stable.", **other: Any) -> Case:
    study = replace(CHEST, uid=f"1.{year}", at=datetime(year, 1, 1, tzinfo=UTC))
    case = Case(
        key=CaseKey(accession=f"P{year}"),
        patient=JANE,
        study=study,
        report=ReportText(impression=impression),
        state=CaseState.SIGNED,
    )
    return replace(case, **other)


def chosen(journal: Journal, case: Case) -> Prior | None:
    return journal.read_now(lambda conn: choose(conn, case))


async def store(journal: Journal, *known: Case) -> None:
    def save(conn: Connection, items: Sequence[Case]) -> list[None]:
        for case in items:
            cases.save(conn, case)
        return [None] * len(items)

    for case in known:
        await journal.write(save, case)


@pytest.mark.parametrize(
    ("priors", "year"),
    [
        ([], None),
        ([archived(2024), archived(2025), archived(2023)], 2025),
        ([archived(2025, "DX"), archived(2023)], 2023),
        ([archived(2025, "DX"), archived(2023, part="HEAD")], 2025),
        ([archived(2025, part="HEAD"), archived(2024, part="")], None),
        ([archived(2024, part="CHEST, ABDOMEN")], 2024),
        ([archived(2026), archived(2027)], 2026),
        ([replace(archived(2025), on=None)], None),
        ([archived(2025, uid="1.9"), archived(2025, uid="1.8")], None),
    ],
)
async def test_the_newest_relevant_prior(journal: Journal, priors: list[Prior], year: int | None) -> None:
    """Earlier studies of the same body part count, those of the same modality first, the newest of them."""
    told = (Told(study_uid="1.8"),)
    prior = chosen(journal, replace(NOW, priors=tuple(priors), told=told))
    assert (prior.on.year if prior and prior.on else None) == year


async def test_the_journal_knows_the_report(journal: Journal) -> None:
    """A prior whose signed report is in the journal comes with its impression, whether or not an archive told of it."""
    long = "Stable nodule. " * 200
    await store(journal, reported(2024), reported(2025, impression=long))
    for priors in ((), (archived(2025), archived(2023))):
        prior = chosen(journal, replace(NOW, priors=priors))
        assert prior is not None
        assert prior.on == date(2025, 1, 1)
        assert prior.impression == " ".join(long.split())[:MAX_IMPRESSION_CHARS]


@pytest.mark.parametrize(
    "other",
    [
        {"patient": Patient(id="900002", issuer="HOSP")},
        {"patient": Patient(id="900001", issuer="ELSEWHERE")},
        {"patient": Patient(id="900001")},
        {"state": CaseState.OPEN},
        {"state": CaseState.WITHDRAWN},
        {"key": NOW.key},
    ],
)
async def test_only_the_same_patients_signed_reports(journal: Journal, other: dict[str, Any]) -> None:
    """Nobody else's report, no other issuer's number, nothing unsigned and not the case itself is a prior."""
    await store(journal, reported(2025, **other))
    assert chosen(journal, NOW) is None


async def test_a_dictated_comparison_wins(journal: Journal) -> None:
    """What the radiologist says it is compared with is what counts; a case that isn't there has no prior."""
    await store(journal, reported(2025), NOW)
    assert chosen(journal, replace(NOW, report=ReportText(findings="Clear.", comparison="None."))) is None
    assert chosen(journal, replace(NOW, study=Study())) is None
    found = journal.read_now(lambda conn: load_with_prior(conn, NOW.key))
    assert found is not None
    assert (found.compared_with, found.concluded_before) == ("CT CHEST of 2025-01-01.", "Stable.")
    assert journal.read_now(lambda conn: load_with_prior(conn, CaseKey(accession="A0"))) is None


def judged(case: Case, text: str) -> set[str]:
    draft = DraftImpression(
        id="D1",
        text=text,
        findings_digest=case.findings_digest,
        signer="1001",
        lora="base",
        model="fake",
        base_digest="0" * 12,
        prompt_version="p1",
        stage=Stage.WHOLE,
        made_at=NOON,
    )
    return {f.kind for f in Judge(policy=GuardPolicy()).judge(case, draft).found}


def test_the_prior_is_no_source() -> None:
    """What only the earlier report says is flagged when a draft says it of today; that there is a prior isn't."""
    prior = replace(archived(2025), impression="12 mm nodule in the left lower lobe.")
    case = replace(NOW, prior=prior, report=ReportText(findings="The lungs are clear. The heart is normal."))
    assert {FlagKind.MEASUREMENT, FlagKind.UNSUPPORTED} <= judged(case, "12 mm nodule in the left lower lobe.")
    assert FlagKind.COMPARISON in judged(replace(case, prior=None), "The lungs remain clear, unchanged.")
    assert FlagKind.COMPARISON not in judged(case, "The lungs remain clear, unchanged.")


def test_findings_go_before_what_was_concluded() -> None:
    """A prompt that is too long loses the prior's impression before it loses a sentence of the findings."""
    case = PromptInput(findings="One two. Three four.", comparison="CT of 2025.", prior="Much was said. " * 9)
    long = build_prompt(case)
    assert "Comparison: CT of 2025. Its impression: Much was said." in long
    without = build_prompt(replace(case, prior=""))
    assert fit_prompt(case, count=len, limit=len(long)) == Fitted(text=long, cut=False)
    assert fit_prompt(case, count=len, limit=len(long) - 1) == Fitted(text=without, cut=False)
    fitted = fit_prompt(case, count=len, limit=len(without) - 1)
    assert fitted.cut
    assert "said" not in fitted.text
