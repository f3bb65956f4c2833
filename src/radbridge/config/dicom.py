"""The DICOM wire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, IPvAnyNetwork, model_validator

from radbridge.config.delivery import Delivery
from radbridge.config.tls import Pin, Tls, Trust
from radbridge.config.values import Address, Charset, DestinationName, Section, Timezone, Url

MOST_AE_TITLE = 16
"""Characters (PS3.5 6.2, AE)."""


def _checked_title(title: str) -> str:
    stripped = title.strip(" ")
    if not 0 < len(stripped) <= MOST_AE_TITLE:
        raise ValueError("must have 1 to 16 characters beside spaces at its ends")
    if any(not " " <= c <= "~" or c == "\\" for c in stripped):
        raise ValueError("must be plain ASCII without control characters and backslash")
    return stripped


AeTitle = Annotated[str, AfterValidator(_checked_title)]
"""Spaces at the ends don't count and are dropped; small and capital letters differ."""
Uid = Annotated[str, Field(pattern=r"^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$", max_length=64)]


class DicomPeer(Section):
    """A system that may call us, and that we may call."""

    name: DestinationName
    """Ours for it: what other tables, `radbridge check` and the logs call it."""
    ae_title: AeTitle
    address: Address | None = None
    """Where it listens; without it, it is never called."""
    addresses: tuple[IPvAnyNetwork, ...] = ()
    """From where it may call, such as `192.0.2.0/24`; empty: from anywhere."""
    tls: bool = False
    """Call it by TLS; our certificate there is `dicom.tls`'s, where that is set."""
    ca_file: Path | None = None
    """Whom to trust about it instead of the system's authorities."""
    pins: tuple[Pin, ...] = ()
    """Keys, one of which it must have besides a certificate that is trusted."""

    @model_validator(mode="after")
    def _tls_where_called(self) -> DicomPeer:
        if self.tls and self.address is None:
            raise ValueError("tls is about calling it: give its address too; dicom.tls is about who calls us")
        if (self.ca_file is not None or self.pins) and not self.tls:
            raise ValueError(f"{'pins' if self.pins else 'ca_file'} needs tls = true")
        return self


class DicomQuery(Section):
    """A peer that is asked: a worklist, or a PACS for the patient's earlier studies."""

    peer: DestinationName
    """One of `dicom.peers`, with an address."""
    timeout_s: float = Field(default=5.0, gt=0, le=300)
    """Of each step: connecting, the association, each answer; and of the whole question."""
    retries: int = Field(default=2, ge=0, le=20)
    """Questions again after a failure; then the peer is left alone for a while."""
    cache_s: float = Field(default=600.0, ge=0)
    """How long an answer holds."""


class Dicomweb(Trust):
    """The PACS over HTTP: QIDO-RS and WADO-RS. With `dicom.pacs` too, it is asked where that one fails."""

    url: Url
    """Its base, such as `https://pacs.example/dicom-web`."""
    token_file: Path | None = None
    """Holds a bearer token, or"""
    basic_file: Path | None = None
    """holds `user:password`. Read anew for each question, never logged."""
    timeout_s: float = Field(default=5.0, gt=0, le=300)
    retries: int = Field(default=2, ge=0, le=20)
    cache_s: float = Field(default=600.0, ge=0)

    @model_validator(mode="after")
    def _one_credential(self) -> Dicomweb:
        if self.token_file is not None and self.basic_file is not None:
            raise ValueError("give token_file or basic_file, not both")
        return self


class DicomSr(Delivery):
    """A destination that gets the drafts as Basic Text SR, by C-STORE."""

    name: DestinationName
    peer: DestinationName
    """One of `dicom.peers`, with an address."""
    max_attempts: int = Field(default=20, ge=1)
    """Sends before the delivery is dead and an operator has to look."""
    timeout_s: float = Field(default=30.0, gt=0, le=300)


class Dicom(Section):
    """The DICOM wire. Without `enabled` nothing listens; what asks and sends is made by its own tables."""

    enabled: bool = True
    listen: Address = "127.0.0.1:11112"
    ae_title: AeTitle = "RADBRIDGE"
    """Ours: what callers call, and what we call with."""
    any_called_title: bool = False
    """Take associations that call another title, too."""
    peers: tuple[DicomPeer, ...] = ()
    """Empty: whoever is on this machine may call."""
    max_associations: int = Field(default=64, ge=1)
    max_pdu_bytes: int = Field(default=131072, ge=4096, le=2**20)
    """The longest P-DATA PDU that we take (PS3.8 D.1)."""
    idle_timeout_s: float = Field(default=60.0, gt=0)
    """An association that sends nothing for so long is aborted."""
    association_timeout_s: float = Field(default=10.0, gt=0)
    """From the connection to its A-ASSOCIATE-RQ."""
    max_header_bytes: int = Field(default=4 * 2**20, ge=65536, le=2**30)
    """Of what is kept of an object: the attributes before its pixels."""
    max_sr_bytes: int = Field(default=10 * 2**20, ge=65536, le=2**30)
    """Of a Structured Report, which is kept whole."""
    private_classes: tuple[Uid, ...] = ()
    """Vendors' own SOP classes that are taken in as images are."""
    issuer: str = ""
    """The issuer of accession numbers where an object doesn't name one."""
    issuers: dict[str, str] = Field(default_factory=dict)
    """What objects call an issuer of accessions or patient ids (0008,0051; 0010,0021) -> the one name for it here."""
    timezone: Timezone = "UTC"
    """Of times that name no offset, such as `Europe/Zurich`."""
    default_charset: Charset = "utf-8"
    """For text that its SpecificCharacterSet doesn't fit; what doesn't fit this either is read as Latin-1."""
    tls: Tls | None = None
    worklist: DicomQuery | None = None
    pacs: DicomQuery | None = None
    dicomweb: Dicomweb | None = None
    destinations: tuple[DicomSr, ...] = ()

    def peer(self, name: str) -> DicomPeer:
        """The peer of that name, which the config was checked to have."""
        return next(peer for peer in self.peers if peer.name == name)
