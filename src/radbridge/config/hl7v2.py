"""The HL7 v2 wire."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from radbridge.config.delivery import Delivery
from radbridge.config.tls import Tls, TlsClient
from radbridge.config.values import Address, Charset, DestinationName, FieldName, Section, Timezone

ReportStatus = Literal["unsigned", "signed", "corrected", "withdrawn"]


class Hl7Destination(Delivery, TlsClient):
    """A peer that gets the drafts as ORU^R01."""

    name: DestinationName
    address: Address
    application: str = "DICTATION"
    """MSH-5."""
    facility: str = ""
    """MSH-6."""
    status: Literal["R", "P"] = "R"
    """OBR-25 and OBX-11 of a draft: `R` not yet verified (HL7 0123 / 0085); `P` where a RIS knows only that."""
    ack_timeout_s: float = Field(default=10.0, gt=0, le=300)
    max_attempts: int = Field(default=20, ge=1)
    """`AE` or `CE` so many times, and the delivery is dead: an operator has to look."""
    confirm: Literal["either", "accept", "application"] = "either"
    """What says that a draft has arrived. `either`: CA or AA, and no mode is asked for; `accept`: enhanced mode, CA;
    `application`: enhanced mode, CA and then AA on the same connection."""


class Hl7v2(Section):
    """The HL7 v2 wire."""

    listen: Address = "127.0.0.1:2575"
    application: str = "RADBRIDGE"
    """MSH-3 of what is sent."""
    facility: str = ""
    destinations: tuple[Hl7Destination, ...] = ()
    max_message_bytes: int = Field(default=10 * 2**20, ge=1024, le=2**30)
    max_connections: int = Field(default=256, ge=1)
    max_connections_per_host: int = Field(default=64, ge=1)
    max_rate_per_s: float = Field(default=0.0, ge=0)
    """Messages a second that are read from one host; what comes faster waits in its own buffers. 0: as they come."""
    idle_timeout_s: float = Field(default=600.0, gt=0)
    """A connection that sends nothing for so long is closed."""
    default_charset: Charset = "utf-8"
    """For an empty MSH-18; bytes that don't fit are read as Latin-1 and the message is noted."""
    accession_from: tuple[FieldName, ...] = ("OBR-18", "OBR-3", "ORC-3", "IPC-1", "TXA-15")
    """Where the accession is, first that is valued."""
    issuer: str = ""
    """The issuer of accession numbers where a message doesn't name one."""
    issuers: dict[str, str] = Field(default_factory=dict)
    """What messages call an issuer (EI-2) -> the site's one name for it."""
    timezone: Timezone = "UTC"
    """Of times that name no offset, such as `Europe/Zurich`."""
    report_status: dict[str, ReportStatus] = Field(default_factory=dict)
    """This RIS's habits, over HL7's: `OBR-25.P`, `OBX-11.A` or `TXA-17.DO` -> what it means here."""
    default_signer: str = ""
    """The signer where a message names none."""
    ack_mode: Literal["header", "original"] = "header"
    """`header`: MSH-15 and MSH-16 choose; `original`: one AA, AE or AR for every message, whatever they say."""
    application_ack_s: float = Field(default=30.0, gt=0, le=600)
    """How long a sender in enhanced mode gets its application acknowledgement by itself; later only when it asks."""
    batch_max_messages: int = Field(default=1000, ge=1, le=100_000)
    """Of one batch (BHS, FHS)."""
    sequence: Literal["off", "note", "enforce"] = "off"
    """What is done with MSH-13: nothing; gaps are noted; or a message out of its turn is refused."""
    tls: Tls | None = None
    """The listener speaks TLS, and nothing else."""
