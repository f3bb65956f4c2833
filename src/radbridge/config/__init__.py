"""The site's configuration: `site.toml`, overridden by `RADBRIDGE_SECTION__KEY`; checked whole, before any start."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from radbridge.config.access import Access, AccessCertificate, Oidc
from radbridge.config.audit import Audit, AuditSyslog
from radbridge.config.checks import check_training, find_problems
from radbridge.config.delivery import Delivery
from radbridge.config.dicom import Dicom, DicomPeer, DicomQuery, DicomSr, Dicomweb
from radbridge.config.encryption import Encryption
from radbridge.config.fhir import (
    Cdshooks,
    CdsIssuer,
    Fhir,
    Fhircast,
    FhircastHub,
    FhirClient,
    FhirDestination,
    FhirSubscriptions,
)
from radbridge.config.guard import Action, Actions, Guard
from radbridge.config.hl7v2 import Hl7Destination, Hl7v2
from radbridge.config.http import Http
from radbridge.config.log import Log
from radbridge.config.memory import Memory
from radbridge.config.model import Model
from radbridge.config.retention import Retention
from radbridge.config.site import Site
from radbridge.config.store import Cluster, Flow, Store
from radbridge.config.tls import Pin, Tls, TlsClient
from radbridge.config.traces import Traces
from radbridge.config.training import Training, Trial
from radbridge.config.values import Address, Section, split_address
from radbridge.errors import ConfigError

__all__ = [
    "Access",
    "AccessCertificate",
    "Action",
    "Actions",
    "Address",
    "Audit",
    "AuditSyslog",
    "CdsIssuer",
    "Cdshooks",
    "Cluster",
    "Delivery",
    "Dicom",
    "DicomPeer",
    "DicomQuery",
    "DicomSr",
    "Dicomweb",
    "Encryption",
    "Fhir",
    "FhirClient",
    "FhirDestination",
    "FhirSubscriptions",
    "Fhircast",
    "FhircastHub",
    "Flow",
    "Guard",
    "Hl7Destination",
    "Hl7v2",
    "Http",
    "Log",
    "Memory",
    "Model",
    "Oidc",
    "Pin",
    "Retention",
    "Section",
    "Site",
    "Store",
    "Tls",
    "TlsClient",
    "Traces",
    "Training",
    "Trial",
    "check_training",
    "load_site",
    "split_address",
]


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
    if problems := find_problems(site):
        where = f"{path}: " if path else ""
        raise ConfigError([where + problem for problem in problems])
    return site


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if part != "[key]":  # pydantic's mark of a dictionary's key: the key itself stands before it
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
