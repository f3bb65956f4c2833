"""Verification and negotiation, held to clients that nobody here wrote."""

from __future__ import annotations

import asyncio

import pytest
from pydicom.uid import JPEG2000, AllTransferSyntaxes, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from pynetdicom import AE

from tests.support.dcmtk import dcmsend, echoscu, storescu
from tests.support.dicom_peer import Notes, listening
from tests.support.dicom_scu import image

UNKNOWN_STORAGE = "1.2.840.10008.5.1.4.1.1.9999.1"


async def test_dcmtk_echoes() -> None:
    """`echoscu` gets its answer, also with every context and transfer syntax that it can propose."""
    async with listening() as (_, port):
        assert (await echoscu(port)).status == 0
        assert (await echoscu(port, "--propose-pc", "64", "--propose-ts", "38", "--repeat", "5")).status == 0


def negotiate(port: int, contexts: dict[str, list[str]], called: str = "RADBRIDGE") -> dict[str, tuple[int, str]]:
    """What pynetdicom is given for each SOP class: result and transfer syntax."""
    ae = AE("MODALITY")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 120
    for abstract, syntaxes in contexts.items():
        ae.add_requested_context(abstract, syntaxes)
    made = ae.associate("127.0.0.1", port, ae_title=called)
    assert made.is_established
    results = {
        str(context.abstract_syntax): (context.result or 0, str(context.transfer_syntax[0]))
        for context in [*made.accepted_contexts, *made.rejected_contexts]
    }
    made.release()
    ae.shutdown()
    return results


async def test_every_storage_class_and_transfer_syntax_is_accepted() -> None:
    """Known or not, images of any class in any transfer syntax; but the services only uncompressed."""
    ct, steps, find = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.5.1.4.1.2.2.1"
    explicit, implicit = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
    async with listening(private_classes=("1.2.3.4.5",)) as (_, port):
        results = await asyncio.to_thread(
            negotiate,
            port,
            {
                ct: [JPEG2000, implicit, explicit],
                UNKNOWN_STORAGE: [JPEG2000, ExplicitVRBigEndian],
                "1.2.3.4.5": [implicit],
                "1.2.3.4.6": [implicit],
                steps: [implicit, ExplicitVRBigEndian],
                "1.2.840.10008.1.20.1": [DeflatedExplicitVRLittleEndian],
                find: [implicit],
            },
        )
    assert results[ct] == (0, explicit)
    assert results[UNKNOWN_STORAGE] == (0, JPEG2000)
    assert results["1.2.3.4.5"] == (0, implicit)
    assert results[steps] == (0, implicit)
    assert {uid: results[uid][0] for uid in ("1.2.3.4.6", "1.2.840.10008.1.20.1", find)} == {
        "1.2.3.4.6": 3,
        "1.2.840.10008.1.20.1": 4,
        find: 3,
    }


async def test_each_transfer_syntax_alone_is_accepted() -> None:
    """A modality that has only one way to send can send."""
    async with listening() as (_, port):
        for syntax in AllTransferSyntaxes:
            results = await asyncio.to_thread(negotiate, port, {UNKNOWN_STORAGE: [syntax]})
            assert results[UNKNOWN_STORAGE] == (0, syntax)


@pytest.mark.parametrize(
    ("options", "syntax"),
    [
        ((), "1.2.840.10008.1.2.1"),
        (("-xi",), "1.2.840.10008.1.2"),
        (("-xb",), "1.2.840.10008.1.2.1"),
        (("-xd",), "1.2.840.10008.1.2.1"),
        (("--max-pdu", "4096"), "1.2.840.10008.1.2.1"),
    ],
)
async def test_dcmtk_stores(options: tuple[str, ...], syntax: str) -> None:
    """`storescu` in each syntax that it can propose: the header comes whole, and no pixels."""
    notes = Notes()
    sent = [image(PixelData=b"\xab\xcd" * 256) for _ in range(3)]
    async with listening(notes) as (_, port):
        outcome = await storescu(port, *sent, options=options)
    assert outcome.status == 0, outcome.output
    assert [request.sop_instance for request in notes.requests] == [d.SOPInstanceUID for d in sent]
    for request, dataset in zip(notes.requests, sent, strict=True):
        assert request.header.syntax == syntax
        assert request.header.uid(0x00080018) == dataset.SOPInstanceUID
        assert b"\xab\xcd" not in request.header.elements


async def test_dcmsend_stores_over_several_associations() -> None:
    """Four `dcmsend` at a time: every object comes once."""
    notes = Notes()
    sent = [[image() for _ in range(5)] for _ in range(4)]
    async with listening(notes) as (_, port):
        outcomes = await asyncio.gather(*(dcmsend(port, *part) for part in sent))
    assert [outcome.status for outcome in outcomes] == [0] * 4
    expected = sorted(dataset.SOPInstanceUID for part in sent for dataset in part)
    assert sorted(request.sop_instance for request in notes.requests) == expected
