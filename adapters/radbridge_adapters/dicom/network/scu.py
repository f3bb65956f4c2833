"""What we ask and tell a peer: C-ECHO, C-FIND, C-STORE and N-EVENT-REPORT (PS3.7 9, 10), an association for each."""

from __future__ import annotations

import ssl

from pydicom.dataset import Dataset

from radbridge.config import Dicom, DicomPeer, split_address
from radbridge.config.tls import Tls, TlsClient
from radbridge.errors import DeliveryFailed, DeliveryRefused, MessageFault
from radbridge_adapters.dicom.encoding.encode import encode
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.network.calling import Request, Response, Target, call
from radbridge_adapters.dicom.network.dimse import CommandField
from radbridge_adapters.dicom.network.services import Event
from radbridge_adapters.security.tls import client_context

VERIFICATION = "1.2.840.10008.1.1"
UNCOMPRESSED = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)

_MEDIUM = 0
_FOR_GOOD = (0x0122, 0x0124)
"""SOP class not supported, not authorized: the same question gets the same answer (PS3.7 C)."""


class Scu:
    """Calls one peer. Every method raises DeliveryFailed, or DeliveryRefused where it makes no sense to try again."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @classmethod
    def of(cls, settings: Dicom, peer_name: str) -> Scu:
        """For a configured peer that has an address. Raises ConfigError when a certificate can't be used."""
        peer = settings.peer(peer_name)
        host, port = split_address(peer.address or "")
        tls = _make_tls(peer, settings.tls) if peer.tls else None
        return cls(
            Target(name=peer.name, host=host, port=port, called=peer.ae_title, calling=settings.ae_title, tls=tls)
        )

    @property
    def name(self) -> str:
        """The peer's name in the site's file."""
        return self._target.name

    async def echo(self, *, timeout_s: float) -> None:
        """Whether the peer speaks DICOM with us."""
        async with call(self._target, {VERIFICATION: UNCOMPRESSED}, timeout_s=timeout_s) as association:
            await association.request(VERIFICATION, {"CommandField": CommandField.C_ECHO})
            answer = await association.response()
            if answer.status != 0:
                raise self._refusal(answer)

    async def find(self, model: str, query: Dataset, *, timeout_s: float, at_most: int = 200) -> list[Dataset]:
        """What the peer finds for `query` in an information model; after `at_most` answers it is told to stop."""
        found: list[Dataset] = []
        async with call(self._target, {model: UNCOMPRESSED}, timeout_s=timeout_s) as association:
            syntax = association.syntax(model)
            await association.request(
                model, {"CommandField": CommandField.C_FIND, "Priority": _MEDIUM}, encode(query, syntax)
            )
            while (answer := await association.response()).is_pending:
                if len(found) == at_most:
                    await association.cancel(model)
                    return found
                found.append(self._read(answer, syntax))
            if answer.status != 0:
                raise self._refusal(answer)
        return found

    async def store(self, part10: bytes, *, timeout_s: float) -> int:
        """Send a DICOM file and give the status of the answer: success, warning or failure is for the caller to say.

        A peer that takes its class only in implicit VR gets it so. Raises MessageFault for what is no DICOM file.
        """
        dataset = read_part10(part10)
        meta = dataset.file_meta
        sop_class, sop_instance = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
        async with call(self._target, {sop_class: UNCOMPRESSED}, timeout_s=timeout_s) as association:
            body = encode(dataset, association.syntax(sop_class))
            command: Request = {
                "CommandField": CommandField.C_STORE,
                "Priority": _MEDIUM,
                "AffectedSOPInstanceUID": sop_instance,
            }
            await association.request(sop_class, command, body)
            return (await association.response()).status

    async def report(self, event: Event, transfer_syntax: str, *, timeout_s: float) -> int:
        """Send an N-EVENT-REPORT whose data set is in `transfer_syntax`, as SCP of its class; the answer's status."""
        sop_class = event.sop_class
        async with call(self._target, {sop_class: UNCOMPRESSED}, timeout_s=timeout_s, scp_of=sop_class) as association:
            body = encode(read_dataset(event.dataset, transfer_syntax), association.syntax(sop_class))
            command: Request = {
                "CommandField": CommandField.N_EVENT_REPORT,
                "AffectedSOPInstanceUID": event.sop_instance,
                "EventTypeID": event.type,
            }
            await association.request(sop_class, command, body)
            return (await association.response()).status

    def _read(self, answer: Response, syntax: str) -> Dataset:
        try:
            return read_dataset(answer.dataset, syntax)
        except MessageFault:
            raise DeliveryFailed(self.name, "the peer's answer can't be read") from None

    def _refusal(self, answer: Response) -> DeliveryFailed | DeliveryRefused:
        kind = DeliveryRefused if answer.status in _FOR_GOOD else DeliveryFailed
        return kind(self.name, f"the peer answered with status {answer.status:04X}")


def _make_tls(peer: DicomPeer, own: Tls | None) -> ssl.SSLContext:
    shown = {"cert_file": own.cert, "key_file": own.key} if own is not None else {}
    return client_context(
        f"dicom.peers: {peer.name!r}", TlsClient(tls=True, ca_file=peer.ca_file, pins=peer.pins, **shown)
    )
