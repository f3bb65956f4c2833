"""The site's configuration: `site.toml`, overridden by `RADBRIDGE_SECTION__KEY`; checked whole, before any start."""

from __future__ import annotations

import ipaddress
import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from radbridge.config.dicom import Dicom, DicomPeer, DicomQuery, DicomSr, DicomTls, Dicomweb
from radbridge.config.fhir import (
    Cdshooks,
    Fhir,
    Fhircast,
    FhircastHub,
    FhirClient,
    FhirDestination,
    FhirSubscriptions,
)
from radbridge.config.hl7v2 import Hl7Destination, Hl7v2
from radbridge.config.memory import Memory
from radbridge.config.training import Training, Trial
from radbridge.config.values import Address, Section, Strategy, split_address
from radbridge.draft import FlagKind, Severity
from radbridge.errors import ConfigError

__all__ = [
    "Action",
    "Actions",
    "Address",
    "Cdshooks",
    "Dicom",
    "DicomPeer",
    "DicomQuery",
    "DicomSr",
    "DicomTls",
    "Dicomweb",
    "Fhir",
    "FhirClient",
    "FhirDestination",
    "FhirSubscriptions",
    "Fhircast",
    "FhircastHub",
    "Guard",
    "Hl7Destination",
    "Hl7v2",
    "Http",
    "Log",
    "Memory",
    "Model",
    "Section",
    "Site",
    "Store",
    "Training",
    "Trial",
    "check_training",
    "load_site",
    "split_address",
]

RESERVED = {"fhir": "our own FHIR server", "fhircast": "our own hub"}
"""Names that no destination may have: our own parts get the drafts under them."""


class Store(Section):
    """Where the journal is."""

    url: str = Field(default="sqlite:///var/radbridge.db", pattern=r"^sqlite:///.+")


@cache
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Http(Section):
    """The HTTP port: health, metrics, FHIR, FHIRcast, CDS Hooks."""

    listen: Address = "127.0.0.1:8080"
    tls_cert: Path | None = None
    """The server's certificate with its chain (PEM); with it, only HTTPS is spoken."""
    tls_key: Path | None = None
    client_ca: Path | None = None
    """Who issues the certificates that every caller must show (mutual TLS)."""
    ws_max_bytes: int = Field(default=2**20, ge=1024, le=2**30)
    """Of one message that comes in over a WebSocket."""

    @model_validator(mode="after")
    def _whole_tls(self) -> Http:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError("client_ca needs tls_cert and tls_key")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return _is_loopback(split_address(self.listen)[0])


class Model(Section):
    """The model server."""

    url: str = Field(default="embedded", pattern=r"^(embedded|https?://\S+)$")
    deadline_s: float = Field(default=8.0, gt=0, le=600)
    settle_s: float = Field(default=0.25, ge=0, le=30)
    """How long the text must rest before it is drafted: a burst of saves makes one draft."""
    concurrency: int = Field(default=32, ge=1)
    """Drafts asked for at once."""
    base: Path | None = None
    """Embedded server only: the folder of a base model, such as a recipe writes; None: the packaged one."""
    strategy: Strategy | None = None
    """Embedded server only: how it drafts, `coarse` never loads the model; None: as the base was made for."""
    loras: Path | None = None
    """Embedded server only: the LoRA registry's folder."""
    site_lora: str | None = None
    """Embedded server only: whose LoRA drafts for a radiologist who has none; empty: the base's own words; None:
    `persona/succinct`, or with a `base` what that says."""
    personas: dict[str, str] = Field(default_factory=dict)
    """Embedded server only: radiologist id -> `persona/elaborate`, until there is a LoRA of their own."""
    canary_share: float = Field(default=0.0, ge=0, le=1)
    """Embedded server only: of the drafts of a radiologist with a challenger, how many it writes."""
    shadow_share: float = Field(default=0.0, ge=0, le=1)
    """Embedded server only: how many it writes behind the champion's, only to be counted."""
    start_timeout_s: float = Field(default=180.0, gt=0)


class Action(StrEnum):
    """What is done about a flag."""

    BLOCK = "block"
    """The draft is kept and shown to operators, and goes to no destination."""
    FLAG = "flag"
    """The flag travels with the draft."""
    IGNORE = "ignore"
    """The flag is dropped; only the metrics know of it."""


def _by_severity(said: object) -> object:
    """One word stands for every severity."""
    if not isinstance(said, str):
        return said
    if said not in set(Action):
        raise ValueError("must be block, flag or ignore, or a table of them by severity: critical, warning, info")
    return dict.fromkeys(Severity, said)


Actions = Annotated[dict[Severity, Action], BeforeValidator(_by_severity)]


class Guard(Section):
    """What the site does about the flags of a draft."""

    policy: dict[FlagKind, Actions] = Field(default_factory=dict)
    """Only what differs from the defaults, which are in `radbridge.guard.policy`."""
    lexicon: tuple[Path, ...] = ()
    """The site's own words: files in the form of `radbridge/entities/lexicon/*.toml`."""


class Log(Section):
    """Logs go to standard error, one JSON document a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Site(BaseSettings):
    """A whole site."""

    model_config = SettingsConfigDict(
        env_prefix="RADBRIDGE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    store: Store = Store()
    hl7v2: Hl7v2 = Hl7v2()
    dicom: Dicom = Dicom()
    fhir: Fhir = Fhir()
    fhircast: Fhircast = Fhircast()
    cdshooks: Cdshooks = Cdshooks()
    http: Http = Http()
    model: Model = Model()
    memory: Memory = Memory()
    training: Training = Training()
    guard: Guard = Guard()
    log: Log = Log()
    wires: dict[str, dict[str, Any]] = {}
    """Tables for wires that a hospital installed itself."""

    @property
    def registry(self) -> Path | None:
        """The LoRA registry's folder; None where there is none."""
        return self.training.registry or self.model.loras

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings


def load_site(path: Path | None) -> Site:
    """The site described by `path` (None: the defaults). Raises ConfigError with every problem at once."""
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError([f"{path}: no such file; see the README's example"]) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: {error}"]) from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([f"{path}: not TOML: {error}"]) from None
    try:
        site = Site(**table)
    except ValidationError as error:
        where = f"{path}: " if path else ""
        raise ConfigError([f"{where}{_place(e['loc'])}: {e['msg']}" for e in error.errors()]) from None
    problems = [*_check_names(site), *_check_dicom(site.dicom), *_check_open(site), *_check_model(site.model)]
    problems += _check_registry(site)
    problems += check_training(site) if site.training.every else []
    if problems:
        where = f"{path}: " if path else ""
        raise ConfigError([where + problem for problem in problems])
    return site


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if part != "[key]":  # pydantic's mark of a dictionary's key: the key itself stands before it
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _check_model(model: Model) -> list[str]:
    if model.base is None:
        return []
    parts = {"config.json": "config.json", "*.safetensors": "weights (safetensors)"}
    missing = [name for pattern, name in parts.items() if not any(model.base.glob(pattern))]
    return [f"model.base: no model in {model.base}: {' and '.join(missing)} missing"] if missing else []


def _check_registry(site: Site) -> list[str]:
    """What is published and promoted in one folder never drafts where the model server reads another."""
    own, served = site.training.registry, site.model.loras
    if site.model.url != "embedded" or own is None or (served is not None and own.resolve() == served.resolve()):
        return []
    read = f"model.loras = {served}" if served else "model.loras, and that isn't set"
    return [f"training.registry: {own} isn't what the embedded model server reads: {read}; set model.loras alone"]


def check_training(site: Site) -> list[str]:
    """Why nothing can be trained at a site; empty where it can."""
    problems = []
    if not site.memory.enabled:
        problems.append("training: it learns from the style memory: set memory.enabled = true")
    if site.registry is None:
        problems.append("training: there is no LoRA registry to publish in: set model.loras or training.registry")
    return problems


def _check_names(site: Site) -> list[str]:
    tables = {
        "hl7v2.destinations": [d.name for d in site.hl7v2.destinations],
        "fhir.destinations": [d.name for d in site.fhir.destinations],
        "fhircast.hubs": [hub.name for hub in site.fhircast.hubs],
        "dicom.destinations": [d.name for d in site.dicom.destinations],
    }
    names = [name for table in tables.values() for name in table]
    problems = [
        f"{table}: the name {name!r} is used twice"
        for table, own in tables.items()
        for name in sorted(set(own))
        if names.count(name) > 1
    ]
    problems += [
        f"{table}: the name {name!r} is taken by {RESERVED[name]}"
        for table, own in tables.items()
        for name in sorted(set(own) & set(RESERVED))
    ]
    servers = set(tables["fhir.destinations"])
    problems += [
        f"fhircast.hubs: {hub.name!r} has report_server {hub.report_server!r}, which is none of fhir.destinations"
        for hub in site.fhircast.hubs
        if hub.report_server is not None and hub.report_server not in servers
    ]
    own = site.fhircast.report_server
    if own is not None and own not in servers:
        problems.append(f"fhircast: report_server {own!r} is none of fhir.destinations")
    ids = [client.id for client in site.fhir.clients]
    return problems + [f"fhir.clients: the id {i!r} is used twice" for i in sorted(set(ids)) if ids.count(i) > 1]


def _check_dicom(dicom: Dicom) -> list[str]:
    """Peers that are called exist; and patients' data comes only from whom the site names (see `_check_open`)."""
    names = [peer.name for peer in dicom.peers]
    problems = [f"dicom.peers: the name {n!r} is used twice" for n in sorted(set(names)) if names.count(n) > 1]
    called = {
        "dicom.worklist": dicom.worklist and dicom.worklist.peer,
        "dicom.pacs": dicom.pacs and dicom.pacs.peer,
    } | {f"dicom.destinations: {d.name!r}": d.peer for d in dicom.destinations}
    reachable = {peer.name for peer in dicom.peers if peer.address is not None}
    problems += [
        f"{place} has peer {peer!r}, which is none of dicom.peers that have an address"
        for place, peer in called.items()
        if peer is not None and peer not in reachable
    ]
    if dicom.enabled and not dicom.peers and not _is_loopback(split_address(dicom.listen)[0]):
        problems.append(
            f"dicom: dicom.listen = {dicom.listen!r} can be reached from other machines and anybody may call; "
            "name dicom.peers, or set dicom.enabled = false"
        )
    return problems


def _check_open(site: Site) -> list[str]:
    """Patients' data for whoever asks: only on this machine, or where the site says so."""
    if site.http.is_loopback or site.fhir.open:
        return []
    unguarded = {
        "fhir": site.fhir.enabled and not site.fhir.clients,
        "fhircast": site.fhircast.enabled and not site.fhir.clients,
        "cdshooks": site.cdshooks.enabled and not site.cdshooks.client_issuers,
    }
    return [
        f"{table}: http.listen = {site.http.listen!r} can be reached from other machines and nobody has to log in; "
        f"name {'cdshooks.client_issuers' if table == 'cdshooks' else 'fhir.clients'}, set {table}.enabled = false, "
        "or set fhir.open = true"
        for table, is_unguarded in unguarded.items()
        if is_unguarded
    ]
