"""A journal as it is after a while: invented radiologists have signed reports, with drafts to most of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from radbridge.case import Case, CaseKey, CaseState, Patient, Radiologist, ReportText, Sex, Study
from radbridge.coarse import draft_coarse
from radbridge.draft import DraftImpression, DraftState, Stage
from radbridge.edit import compare
from radbridge.journal import cases, drafts, edits, memory, secrets
from radbridge.journal.stores import Stores, open_store
from radbridge.memory import Remembered
from radbridge_training.synth import Part, SynthReport, generate_reports, pick_personas
from radbridge_training.synth.mixture import PLAIN

BEGAN = datetime(2026, 3, 1, 8, tzinfo=UTC)


def sign_reports(url: str, *, people: int, reports: int, seed: int = 3) -> list[str]:
    """Radiologists 1001, 1002, … with `reports` each, every one remembered. Returns their ids."""
    stores = open_store(url)
    ids = []
    for place, persona in enumerate(pick_personas(seed, people, Part.HELD_OUT)):
        mixture = replace(PLAIN, personas=(persona,))
        ids.append(f"{1001 + place}")
        sign(stores, ids[-1], list(generate_reports(seed + place, reports, mixture)))
    stores.dispose()
    return ids


def sign(stores: Stores, radiologist: str, reports: Sequence[SynthReport], *, asked: str = "") -> None:
    """The radiologist signs these reports, one after another, each of another patient; `asked`: who drafted."""
    with stores.begin() as conn:
        secrets.make(conn, [secrets.PSEUDONYMS])
        begin = memory.count(conn)
        for place, report in enumerate(reports, begin + 1):
            _sign(conn, radiologist, place, report, asked)


def _sign(conn: Connection, radiologist: str, place: int, report: SynthReport, asked: str) -> None:
    key = CaseKey(accession=f"A{place:05}")
    at = BEGAN + timedelta(minutes=10 * place)
    case = Case(
        key=key,
        patient=Patient(id=f"{700000 + place}", sex=Sex(report.sex)),
        study=Study(modality=report.modality),
        report=ReportText(findings=report.findings, impression=report.impression, indication=report.indication),
        signer=Radiologist(id=radiologist),
        state=CaseState.SIGNED,
        signed_at=at,
    )
    cases.save(conn, case)
    draft = replace(_draft(case, place), asked=asked)
    drafts.add(conn, key, draft, DraftState.CURRENT)
    edits.save(conn, key, compare(case, draft, delivered=True))
    memory.expect(conn, key, signer=radiologist, signed_at=at)
    (expected,) = memory.waiting(conn, 1)
    remembered = Remembered(
        number=expected.number,
        signer=radiologist,
        findings=report.findings,
        impression=report.impression,
        indication=report.indication,
        draft=draft.text,
    )
    memory.keep(conn, [remembered])


def _draft(case: Case, place: int) -> DraftImpression:
    text = draft_coarse(case.report.findings, indication=case.report.indication, modality=case.study.modality).text
    return DraftImpression(
        id=f"d{place}",
        text=text,
        findings_digest=f"{place:064}",
        signer=case.signer.id,
        lora="none",
        model="radbridge-embedded-base",
        base_digest="0" * 64,
        prompt_version="p2",
        stage=Stage.COARSE,
        made_at=BEGAN,
    )


def write_site(folder: Path, **training: object) -> Path:
    """A site's file with journal, registry and turns in `folder`; `training`: further keys of that table."""
    path = folder / "site.toml"
    path.write_text(
        f'[store]\nurl = "sqlite:///{folder}/radbridge.db"\n[model]\nloras = "{folder}/loras"\nsite_lora = ""\n'
        f'[training]\nwork = "{folder}/turns"\n' + "".join(f"{k} = {json.dumps(v)}\n" for k, v in training.items())
    )
    return path
