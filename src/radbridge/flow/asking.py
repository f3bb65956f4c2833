"""What the model server is asked of a case."""

from __future__ import annotations

import hashlib
import hmac

from radbridge.case import Case, CaseKey
from radbridge.contract import DraftRequest
from radbridge.flow.remembering import Recollection


def make_request(draft_id: str, case: Case, case_secret: bytes, known: Recollection) -> DraftRequest:
    """What the model server is asked about a case, whose accession the secret hides."""
    return DraftRequest(
        id=draft_id,
        findings=case.report.findings,
        indication=case.indication,
        comparison=case.compared_with,
        prior=case.concluded_before,
        modality=case.study.modality,
        sex=case.patient.sex,
        age=case.age,
        radiologist=case.signer.id,
        case=hide(case.key, case_secret),
        examples=known.examples,
        memory=known.memory,
    )


def hide(key: CaseKey, secret: bytes) -> str:
    """An opaque name of a case: always the same, and without the secret nobody can tell which accession it is."""
    return hmac.new(secret, f"{key.issuer}\0{key.accession}".encode(), hashlib.sha256).hexdigest()[:32]
