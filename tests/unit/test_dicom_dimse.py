"""Command sets, held to pydicom's and pynetdicom's reading of them."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pynetdicom.dimse_messages import C_STORE_RSP, N_SET_RSP
from pynetdicom.dimse_primitives import C_STORE, N_SET

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.network.dimse import ELEMENTS, CommandField, decode, encode, event_report, response
from radbridge_adapters.dicom.network.services import Answer, Event


def parse(raw: bytes) -> Dataset:
    return read_dataset(BytesIO(raw), is_implicit_VR=True, is_little_endian=True)


def request(field: int, **more: object) -> bytes:
    dataset = Dataset()
    dataset.CommandField = field
    dataset.MessageID = 7
    dataset.CommandDataSetType = 1
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, True
    write_dataset(out, dataset)
    return out.getvalue()


def test_elements_are_named_as_in_the_standard() -> None:
    """Our table's keywords are pydicom's for the same tags."""
    assert {element: keyword_for_tag(element) for element in ELEMENTS} == {
        element: keyword for element, (keyword, _) in ELEMENTS.items()
    }


def test_a_store_is_read() -> None:
    """What pydicom writes is read: field, IDs, UIDs without padding, and whether a data set follows."""
    command = decode(request(1, AffectedSOPClassUID="1.2.3", AffectedSOPInstanceUID="1.2.3.4"))
    assert (command.field, command.short(0x0110)) == (CommandField.C_STORE, 7)
    assert (command.sop_class, command.sop_instance) == ("1.2.3", "1.2.3.4")
    assert command.has_data_set
    assert not command.is_response


def test_a_store_response_is_the_standards() -> None:
    """The response names the request, its UIDs and the status; pynetdicom accepts it."""
    command = decode(request(1, AffectedSOPClassUID="1.2.3", AffectedSOPInstanceUID="1.2.3.4"))
    raw = response(command, Answer(status=0xA900, comment="classes differ", offending=(0x00080016, 0x00080018)))
    parsed = parse(raw)
    assert parsed.CommandGroupLength == len(raw) - 12
    assert (parsed.CommandField, parsed.MessageIDBeingRespondedTo, parsed.Status) == (0x8001, 7, 0xA900)
    assert (parsed.AffectedSOPClassUID, parsed.AffectedSOPInstanceUID) == ("1.2.3", "1.2.3.4")
    assert (parsed.ErrorComment, list(parsed.OffendingElement)) == ("classes differ", [0x00080016, 0x00080018])
    assert parsed.CommandDataSetType == 0x0101
    message = C_STORE_RSP()
    message.command_set = parsed
    primitive = message.message_to_primitive()
    assert isinstance(primitive, C_STORE)
    assert primitive.Status == 0xA900


def test_an_n_set_response_lists_attributes_and_an_error_id() -> None:
    """The N services have an Attribute Identifier List and an Error ID, and answer to the Requested UIDs."""
    command = decode(request(0x120, RequestedSOPClassUID="1.2.3", RequestedSOPInstanceUID="1.2.3.4"))
    parsed = parse(response(command, Answer(status=0x0110, error=0xA710, offending=(0x00400252,))))
    assert (parsed.CommandField, parsed.ErrorID) == (0x8120, 0xA710)
    assert parsed.AttributeIdentifierList == 0x00400252
    assert (parsed.AffectedSOPClassUID, parsed.AffectedSOPInstanceUID) == ("1.2.3", "1.2.3.4")
    message = N_SET_RSP()
    message.command_set = parsed
    primitive = message.message_to_primitive()
    assert isinstance(primitive, N_SET)
    assert primitive.Status == 0x0110


def test_an_n_create_response_carries_the_uid_that_was_given() -> None:
    """A request without a UID gets one from the answer."""
    parsed = parse(response(decode(request(0x140, AffectedSOPClassUID="1.2")), Answer(status=0, sop_instance="2.25.1")))
    assert parsed.AffectedSOPInstanceUID == "2.25.1"


def test_an_event_report_is_the_standards() -> None:
    """Class, instance, type and message ID, and a data set to follow."""
    parsed = parse(event_report(9, Event(type=2, sop_class="1.2", sop_instance="1.2.3", dataset=b"")))
    assert (parsed.CommandField, parsed.MessageID, parsed.EventTypeID) == (0x0100, 9, 2)
    assert (parsed.AffectedSOPClassUID, parsed.AffectedSOPInstanceUID) == ("1.2", "1.2.3")
    assert parsed.CommandDataSetType != 0x0101


def test_uids_that_are_none_are_answered_without_harm() -> None:
    """Bytes that aren't ASCII, and far too long ones, come back as something that can be sent."""
    raw = encode([(2, "1.2"), (0x100, 1), (0x110, 1), (0x800, 0)])
    hostile = raw + b"\0\0\0\x10\xc8\0\0\0" + b"\xff" * 200
    assert decode(response(decode(hostile), Answer(status=0))).sop_instance == "?" * 64


@pytest.mark.parametrize(
    "raw",
    [
        b"\1\2\3",
        b"\x08\0\0\0\0\0\0\0",
        b"\0\0\0\1\xff\0\0\0\1\0",
        encode([(0x110, 1), (0x800, 0)]),
        encode([(0x100, 1), (0x110, 1)]),
        encode([(0x100, 1), (0x800, 0)]),
        encode([(0x100, 0x130), (0x110, 1), (0x800, 0)]),
        encode([(0x100, 0x8100), (0x120, 1), (0x800, 0)]),
    ],
)
def test_a_command_that_lacks_what_it_needs_is_a_fault(raw: bytes) -> None:
    """Cut off, of another group, or without field, message ID, action or status: no command set."""
    with pytest.raises(MessageFault) as caught:
        decode(raw)
    assert caught.value.reason == "bad_command"


@given(raw=st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_but_message_faults(raw: bytes) -> None:
    """Any bytes are a command set that can be answered, or a MessageFault."""
    try:
        command = decode(raw)
    except MessageFault:
        return
    assert command.is_response or command.field == CommandField.C_CANCEL or response(command, Answer(status=0))
