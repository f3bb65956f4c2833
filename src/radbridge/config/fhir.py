"""The wires on the HTTP port: FHIR, FHIRcast and CDS Hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from radbridge.config.delivery import Delivery
from radbridge.config.tls import Trust
from radbridge.config.values import DestinationName, Section, Url


class FhirClient(Trust):
    """A system that may ask for access tokens here (SMART Backend Services)."""

    id: str = Field(min_length=1, max_length=255)
    """`client_id`: `iss` and `sub` of its assertions."""
    jwks: dict[str, Any] | None = None
    """Its public keys as a JWK set, or"""
    jwks_uri: Url | None = None
    """where they are to be had."""
    scopes: tuple[str, ...] = Field(min_length=1)
    """The most it can get, such as `system/DiagnosticReport.cruds`."""

    @model_validator(mode="after")
    def _one_set_of_keys(self) -> FhirClient:
        if (self.jwks is None) == (self.jwks_uri is None):
            raise ValueError("give either jwks or jwks_uri")
        return self


class FhirDestination(Delivery, Trust):
    """A hospital's FHIR server that gets the drafts."""

    name: DestinationName
    url: Url
    """Its base, such as `https://ehr.example/fhir`."""
    mode: Literal["transaction", "separate"] = "transaction"
    """One transaction Bundle a draft, or three conditional updates for a server that takes no Bundle."""
    client_id: str = ""
    """Ours there; empty: the server asks for no token."""
    key_file: Path | None = None
    """Our private JWK, made by `radbridge keys`."""
    token_url: Url | None = None
    """Where its tokens come from; else its SMART discovery document says so."""
    scope: str = "system/DiagnosticReport.cruds system/Observation.cruds system/Provenance.cruds"
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    max_attempts: int = Field(default=20, ge=1)

    @model_validator(mode="after")
    def _key_for_a_client(self) -> FhirDestination:
        if bool(self.client_id) != (self.key_file is not None):
            raise ValueError("client_id and key_file go together")
        return self


class FhirSubscriptions(Trust):
    """Notifications of FHIR Subscriptions, and whom to trust where an endpoint is `https://`."""

    max: int = Field(default=200, ge=0)
    heartbeat_s: float = Field(default=60.0, gt=0)
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    error_after: int = Field(default=5, ge=1)
    """Failures in a row after which a subscription's status is `error`; it is tried on."""
    off_after_h: float = Field(default=24.0, gt=0)
    """Hours in `error` after which it is `off`."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts that may be notified, beside this machine. A subscriber's URL is a way into the hospital's network."""


class Fhir(Section):
    """The FHIR R4 server at `/fhir`, and the hospital's FHIR servers."""

    enabled: bool = True
    base_url: Url | None = None
    """What clients call this server, where a proxy stands before it: `https://radbridge.example/fhir`."""
    max_body_bytes: int = Field(default=16 * 2**20, ge=1024, le=2**30)
    max_bundle_entries: int = Field(default=500, ge=1, le=10000)
    page_size: int = Field(default=50, ge=1, le=500)
    draft_ttl_h: float = Field(default=24.0, gt=0)
    """Hours after which a draft says it is expired."""
    open: bool = False
    """Answer without clients and tokens beyond this machine too: only behind something that guards it."""
    cors_origins: tuple[str, ...] = ()
    issuer: Url | None = None
    """Who issues our access tokens; unless set, the server itself."""
    accession_types: tuple[str, ...] = ("ACSN",)
    """Codes of HL7 v2-0203 that make an identifier an accession number."""
    accession_systems: tuple[str, ...] = ()
    """Systems of accession numbers, where an identifier has no type."""
    default_signer: str = ""
    """The signer where a report names none."""
    clients: tuple[FhirClient, ...] = ()
    destinations: tuple[FhirDestination, ...] = ()
    subscriptions: FhirSubscriptions = FhirSubscriptions()


class FhircastHub(Delivery, Trust):
    """Somebody else's FHIRcast hub, at which we follow one session."""

    name: DestinationName
    url: Url
    topic: str = Field(min_length=1, repr=False)
    """The session: whoever knows it may listen, so keep it secret."""
    events: tuple[str, ...] = (
        "DiagnosticReport-open",
        "DiagnosticReport-update",
        "DiagnosticReport-select",
        "DiagnosticReport-close",
    )
    dialect: str = "stu3"
    fhir_version: Literal["R4", "R5"] = "R4"
    report_server: DestinationName | None = None
    """The FHIR destination that has the text of a report whose sign-off came without."""
    client_id: str = ""
    """Ours there; empty: the hub asks for no token."""
    key_file: Path | None = None
    """Our private JWK, made by `radbridge keys`."""
    token_url: Url | None = None
    """Where its tokens come from."""
    scope: str = "fhircast/DiagnosticReport-*.read fhircast/SyncError.read fhircast/DiagnosticReport-update.write"

    @model_validator(mode="after")
    def _one_session(self) -> FhircastHub:
        if self.sessions != 1:
            raise ValueError("sessions: a hub has one session's events in their order; leave it out")
        return self

    @model_validator(mode="after")
    def _whole_client(self) -> FhircastHub:
        if len({bool(self.client_id), self.key_file is not None, self.token_url is not None}) != 1:
            raise ValueError("client_id, key_file and token_url go together")
        return self


class Fhircast(Section):
    """The FHIRcast hub at `/fhircast`, and foreign hubs."""

    enabled: bool = True
    lease_s: float = Field(default=7200.0, ge=1)
    ack_timeout_s: float = Field(default=10.0, gt=0)
    heartbeat_s: float = Field(default=10.0, gt=0, le=10)
    queue: int = Field(default=64, ge=1)
    """Events that wait for one subscriber at most."""
    queue_bytes: int = Field(default=4 * 2**20, ge=1024)
    max_subscribers: int = Field(default=256, ge=1)
    max_topics: int = Field(default=1024, ge=1)
    dialect: str = "stu3"
    report_server: DestinationName | None = None
    """The FHIR destination that has the text of a report whose sign-off came to our hub without."""
    hubs: tuple[FhircastHub, ...] = ()


class CdsIssuer(Trust):
    """Who signs the tokens of CDS Hooks callers."""

    jwks_uri: Url
    """Where its keys are to be had."""


def _as_table(said: object) -> object:
    """Where there is nothing to say but the address, it stands by itself."""
    return {"jwks_uri": said} if isinstance(said, str) else said


class Cdshooks(Section):
    """The CDS Hooks service at `/cds-services`."""

    enabled: bool = True
    deadline_s: float = Field(default=5.0, gt=0, le=60)
    """How long a caller waits for a draft at most."""
    client_issuers: dict[str, Annotated[CdsIssuer, BeforeValidator(_as_table)]] = Field(default_factory=dict)
    """`iss` of a caller's token -> where its keys are to be had, as a URL or as a table."""
