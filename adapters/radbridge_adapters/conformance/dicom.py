"""What a PACS has to do with the drafts that RadBridge stores there as Structured Reports."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydicom.dataset import Dataset

from radbridge.case import Case, Patient
from radbridge.draft import DraftImpression
from radbridge_adapters.conformance.check import Check, Level, expect
from radbridge_adapters.conformance.specimen import SECOND, new_case, new_draft
from radbridge_adapters.dicom.asking.priors_query import STUDY_ROOT_FIND
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.network.scu import Scu
from radbridge_adapters.dicom.writing.compose import Composer
from radbridge_adapters.dicom.writing.sink import say
from radbridge_adapters.dicom.writing.withdraw import compose_note

_NOT_VERIFIED = frozenset({"", "UNVERIFIED"})


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomTarget:
    """A PACS, and what writes drafts to it: the very code that a site runs."""

    scu: Scu
    composer: Composer
    timeout_s: float

    async def store(self, part10: bytes) -> Dataset:
        """Store a document and give it as it was sent. Raises Broken when it is not taken."""
        status = await self.scu.store(part10, timeout_s=self.timeout_s)
        said = say(status)
        expect(said.taken, f"C-STORE was answered {status:04X}: {said.meaning}")
        return read_part10(part10)

    async def deliver(self, case: Case, draft: DraftImpression) -> Dataset:
        """Store a draft."""
        return await self.store(self.composer.compose(case, draft))

    async def withdraw(self, sent: Dataset) -> None:
        """Store the note that rejects a draft."""
        control_id = f"C{secrets.token_hex(8)}"
        await self.store(compose_note(sent, control_id, self.composer.ae_title, datetime.now(UTC)))

    async def find(self, level: str, **keys: str) -> list[Dataset]:
        """What a Study Root C-FIND gives for these keys; an empty one asks for the value."""
        query = Dataset()
        query.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(query, keyword, value)
        return await self.scu.find(STUDY_ROOT_FIND, query, timeout_s=self.timeout_s)

    async def find_draft(self, sent: Dataset, **keys: str) -> list[Dataset]:
        """What there is under the draft's SOP Instance UID."""
        return await self.find(
            "IMAGE",
            StudyInstanceUID=sent.StudyInstanceUID,
            SeriesInstanceUID=sent.SeriesInstanceUID,
            SOPInstanceUID=sent.SOPInstanceUID,
            **keys,
        )


async def _echo(target: DicomTarget) -> None:
    await target.scu.echo(timeout_s=target.timeout_s)


async def _store(target: DicomTarget) -> None:
    await target.deliver(new_case(), new_draft())


async def _again(target: DicomTarget) -> None:
    case, draft = new_case(), new_draft()
    await target.deliver(case, draft)
    await target.deliver(case, draft)


async def _redraft(target: DicomTarget) -> None:
    case = new_case()
    for text in (new_draft().text, SECOND):
        await target.deliver(case, new_draft(text))


async def _withdraw(target: DicomTarget) -> None:
    await target.withdraw(await target.deliver(new_case(), new_draft()))


async def _letters(target: DicomTarget) -> None:
    for text in ("Größe unverändert, 4 µm.", "Узел ≥ 4 mm. 变化不大。"):
        await target.deliver(new_case(), new_draft(text))


async def _long(target: DicomTarget) -> None:
    text = "\n".join(f"{number}. Stable nodule of {number % 9 + 2} mm." for number in range(1, 1500))
    await target.deliver(new_case(), new_draft(text))


async def _no_patient(target: DicomTarget) -> None:
    await target.deliver(replace(new_case(), patient=Patient()), new_draft())


async def _found(target: DicomTarget) -> None:
    case = new_case()
    sent = await target.deliver(case, new_draft())
    found = await target.find("STUDY", AccessionNumber=case.key.accession, StudyInstanceUID="")
    uids = [str(one.get("StudyInstanceUID", "")) for one in found]
    expect(uids == [sent.StudyInstanceUID], f"{len(uids)} studies under the draft's accession, not the draft's one")


async def _once(target: DicomTarget) -> None:
    case, draft = new_case(), new_draft()
    await target.deliver(case, draft)
    found = await target.find_draft(await target.deliver(case, draft))
    expect(len(found) == 1, f"{len(found)} objects under the SOP Instance UID of a draft that came twice")


async def _unverified(target: DicomTarget) -> None:
    sent = await target.deliver(new_case(), new_draft())
    found = await target.find_draft(sent, VerificationFlag="", CompletionFlag="")
    expect(len(found) == 1, f"{len(found)} objects under the draft's SOP Instance UID")
    state = str(found[0].get("VerificationFlag", ""))
    expect(state in _NOT_VERIFIED, f"VerificationFlag has become {state!r}")


async def _hidden(target: DicomTarget) -> None:
    sent = await target.deliver(new_case(), new_draft())
    expect(await target.find_draft(sent), "the draft isn't found before it is taken back either")
    await target.withdraw(sent)
    expect(not await target.find_draft(sent), "the draft that was taken back is still found")


CHECKS: Sequence[Check[DicomTarget]] = tuple(
    Check(id=id, level=level, promise=promise, clause=clause, run=run)
    for id, level, promise, clause, run in (
        ("dicom-echo", Level.MUST, "answers C-ECHO from our AE title", "PS3.4 A.4", _echo),
        ("dicom-store", Level.MUST, "stores a draft: a Basic Text SR, partial and unverified", "PS3.4 B.2.3", _store),
        ("dicom-again", Level.MUST, "takes the same object again, as after a lost answer", "contract 2.3", _again),
        ("dicom-redraft", Level.MUST, "takes a newer draft of the same study", "contract 3.2", _redraft),
        (
            "dicom-withdraw",
            Level.MUST,
            "takes the note that rejects a draft (Key Object Selection, 113037)",
            "contract 3.3",
            _withdraw,
        ),
        ("dicom-letters", Level.MUST, "takes text in ISO_IR 100 and ISO_IR 192", "PS3.3 C.12.1.1.2", _letters),
        ("dicom-long", Level.SHOULD, "takes a draft of 1,500 lines", "contract 2.4", _long),
        ("dicom-no-patient", Level.SHOULD, "takes a draft without a patient", "contract 4", _no_patient),
        ("dicom-found", Level.SHOULD, "finds the draft's study by its accession", "PS3.4 C.6.2", _found),
        ("dicom-once", Level.SHOULD, "has one object after the same draft came twice", "contract 2.3", _once),
        ("dicom-unverified", Level.SHOULD, "says of a draft nothing but UNVERIFIED", "contract 1", _unverified),
        ("dicom-hidden", Level.SHOULD, "hides what a rejection note rejects", "IHE RAD TF IOCM", _hidden),
    )
)
