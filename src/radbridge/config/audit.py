"""`[audit]`: the trail of who did what, and who keeps a copy of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radbridge.config.tls import TlsClient
from radbridge.config.values import Address, Section


class AuditSyslog(TlsClient):
    """An audit repository that takes events by syslog over TLS (RFC 5425, IHE ITI-20)."""

    address: Address | None = None
    """`host:6514`; None: nobody gets them."""
    format: Literal["dicom", "fhir"] = "dicom"
    """`dicom`: DICOM PS3.15 A.5.1, which ITI-20 asks for; `fhir`: the R4 AuditEvent."""
    tls: bool = True
    """Off, the events go in the clear: for a relay on this machine."""

    @model_validator(mode="after")
    def _whole(self) -> AuditSyslog:
        if self.address is None and (self.ca_file or self.cert_file or self.pins or self.server_name):
            raise ValueError("ca_file, cert_file, pins and server_name need address")
        return self


class Audit(Section):
    """The audit trail; it is always kept."""

    head_every_s: float = Field(default=60.0, ge=1, le=86_400)
    """How often the end of the chain is told to the log, when it has moved."""
    syslog: AuditSyslog = AuditSyslog()
