"""A Subscription as what is to be done: what it is told of, where, and in which shape.

Two kinds: plain R4 (`criteria` is a search), and the Subscriptions R5 Backport IG 1.1 (`criteria` is a topic).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from radbridge.config import FhirSubscriptions
from radbridge_adapters.fhir.search.query import SearchQuery, parse
from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.resources.codes import CANONICAL, DRAFT_TOPIC
from radbridge_adapters.resources.outcome import Issues, refuse
from radbridge_adapters.resources.times import read_moment

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
BASE_EXTENSION = f"{CANONICAL}/StructureDefinition/notification-base"
"""What the subscriber calls this server: kept, for notifications are sent without a request to look at."""
MAX_CRITERIA = 16
"""Parameters of a Subscription's search."""
MASKED = "***"

_FHIR_JSON = re.compile(r"application/(fhir\+)?json(\s*;.*)?", re.IGNORECASE)
_R4B = re.compile(r"fhirVersion\s*=\s*4\.3", re.IGNORECASE)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)")
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})
"""Headers that a subscriber may not set."""


class Status(StrEnum):
    """Subscription.status (R4)."""

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


class Content(StrEnum):
    """What a notification holds of the resource."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL = "full-resource"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One Subscription, understood."""

    id: str = field(repr=False)
    status: Status
    type: str
    """The resource type it is told of."""
    query: SearchQuery | None = field(default=None, repr=False)
    """What has to fit; None: every one of that type."""
    topic: str = ""
    """The topic's canonical URL; empty for a plain one."""
    content: Content = Content.EMPTY
    is_r4b: bool = False
    """Status as SubscriptionStatus; else as Parameters, since R4 has no such resource."""
    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    heartbeat_s: float | None = None
    timeout_s: float
    max_count: int = 1
    """Events in one notification."""
    end: datetime | None = None
    base: str = field(default="", repr=False)


def read_plan(document: Mapping[str, Any], settings: FhirSubscriptions) -> Plan:
    """What a Subscription asks for. Raises Issues (422) for what this server can't do, with the place."""
    channel = document["channel"]
    if channel.get("type") != "rest-hook":
        raise _unsupported("channel.type", "this server notifies by rest-hook only")
    payload = channel.get("payload", "")
    if payload and not _FHIR_JSON.fullmatch(payload):
        raise _unsupported("channel.payload", "notifications are application/fhir+json")
    criteria, status = document.get("criteria", ""), document.get("status", "")
    if not status:
        raise _unsupported("status", "a status has a value")
    topic = criteria if criteria == DRAFT_TOPIC else ""
    kind, query = _read_filter(document) if topic else _read_criteria(criteria)
    heartbeat_s = _number(channel, "backport-heartbeat-period")
    asked_timeout_s = _number(channel, "backport-timeout") or settings.timeout_s
    return Plan(
        id=document.get("id", ""),
        status=Status(status),
        type=kind,
        query=query,
        topic=topic,
        content=_read_content(channel) if topic else Content.FULL if payload else Content.EMPTY,
        is_r4b=bool(_R4B.search(payload)),
        endpoint=_check_endpoint(channel.get("endpoint", ""), settings.allow_hosts),
        headers=dict(_read_header(text or "") for text in channel.get("header", ())),
        heartbeat_s=heartbeat_s or settings.heartbeat_s if topic else None,
        timeout_s=min(asked_timeout_s, settings.timeout_s),
        max_count=int(_number(channel, "backport-max-count") or 1) if topic else 1,
        end=read_moment(document.get("end", "")),
        base=next((one.get("valueUrl", "") for one in _extensions(document) if one["url"] == BASE_EXTENSION), ""),
    )


def mask(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Subscription as it may be shown: a header often holds a password."""
    channel = document.get("channel", {})
    if "header" not in channel:
        return document
    masked = [f"{text.partition(':')[0]}: {MASKED}" for text in channel["header"]]
    return {**document, "channel": {**channel, "header": masked}}


def _read_criteria(criteria: str) -> tuple[str, SearchQuery]:
    kind, _, search = criteria.partition("?")
    if "search" not in TYPES.get(kind, ()):
        raise _unsupported("criteria", "neither a topic of this server nor a search of a type it keeps")
    return kind, _parse(kind, search)


def _read_filter(document: Mapping[str, Any]) -> tuple[str, SearchQuery | None]:
    """`backport-filter-criteria` on the criteria narrows the topic: a search of its focus."""
    filters = [
        one["valueString"]
        for one in _extensions(document.get("_criteria", {}))
        if one["url"] == f"{BACKPORT}/backport-filter-criteria" and "valueString" in one
    ]
    searches = [text.partition("?") for text in filters]
    if any(kind != "DiagnosticReport" for kind, _, _ in searches):
        raise _unsupported("criteria.extension", "the topic's focus is a DiagnosticReport")
    joined = "&".join(search for _, _, search in searches)
    return "DiagnosticReport", _parse("DiagnosticReport", joined) if joined else None


def _parse(kind: str, search: str) -> SearchQuery:
    try:
        return parse(kind, parse_qsl(search, keep_blank_values=True, max_num_fields=MAX_CRITERIA), strict=True)
    except Issues as fault:
        raise _unsupported("criteria", f"the search can't be evaluated: {fault}") from None
    except ValueError:
        raise _unsupported("criteria", "the search can't be read") from None


def _read_content(channel: Mapping[str, Any]) -> Content:
    for one in _extensions(channel.get("_payload", {})):
        if one["url"] == f"{BACKPORT}/backport-payload-content":
            try:
                return Content(one.get("valueCode", ""))
            except ValueError:
                raise _unsupported("channel.payload.extension", "empty, id-only or full-resource") from None
    raise refuse("required", "a topic needs a payload content", expression="Subscription.channel.payload.extension")


def _check_endpoint(url: str, allowed: Sequence[str]) -> str:
    """A subscriber's URL is a way into the hospital's network: only to this machine, or where the site says."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _unsupported("channel.endpoint", "no URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        raise _unsupported("channel.endpoint", "http://host/path or https://host/path; secrets go into channel.header")
    if not _is_loopback(host) and host.lower() not in {name.lower() for name in allowed}:
        raise _unsupported("channel.endpoint", "this host may not be notified; see fhir.subscriptions.allow_hosts")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _read_header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text)
    if match is None or match[1].lower() in _OURS:
        raise _unsupported("channel.header", "a header is `Name: value`, and none that this server sets itself")
    if match[2] == MASKED:
        raise _unsupported("channel.header", "the header's value is masked; send it again, or leave it out")
    return match[1], match[2]


def _number(channel: Mapping[str, Any], name: str) -> float | None:
    for one in _extensions(channel):
        if one["url"] == f"{BACKPORT}/{name}":
            return next((float(v) for k, v in one.items() if k in ("valueUnsignedInt", "valuePositiveInt") and v), None)
    return None


def _extensions(owner: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    extensions: Sequence[Mapping[str, Any]] = owner.get("extension", ())
    return extensions


def _unsupported(place: str, diagnostics: str) -> Issues:
    return refuse("business-rule", diagnostics, expression=f"Subscription.{place}")
