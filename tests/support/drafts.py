"""A synthetic case and its draft, for everything that goes out."""

from __future__ import annotations

from datetime import UTC, datetime

from radbridge.case import Case, CaseKey, Code, Order, Patient, Radiologist, ReportText, Study
from radbridge.draft import DraftImpression, Flag, Span, Stage

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CASE = Case(
    key=CaseKey(accession="ACC900001", issuer="RIS"),
    patient=Patient(id="900001", issuer="HOSP", name="DOE^JANE"),
    order=Order(procedure=Code(value="CTCH", system="L", display="CT CHEST")),
    study=Study(modality="CT", at=AT),
    report=ReportText(findings="Lungs clear. Stable 4 mm nodule."),
    signer=Radiologist(id="1234", name="ROE^RICHARD"),
)
DRAFT = DraftImpression(
    id="D1",
    text="No acute disease.\nStable 4 mm nodule.",
    findings_digest=CASE.findings_digest,
    signer="1234",
    lora="rad/1234@v1-0123456789ab",
    model="tiny",
    base_digest="0" * 12,
    prompt_version="p1",
    stage=Stage.FINE,
    flags=(Flag(kind="omitted", message="Invented.", spans=(Span(section="findings", start=3, end=9),)),),
    memory="m1/9",
    examples=("m3", "m9"),
    made_at=AT,
)
