"""A request as the interactions see it, and the answer they give. No ASGI in either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from radbridge.audit import Subject
from radbridge_adapters.fhir.store.subjects import PAST
from radbridge_adapters.security import Client


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """What one request was shown and what it stored, for the audit trail; its interactions add to it."""

    names: list[str] = field(default_factory=list, repr=False)
    """What it was shown: `Patient/12/_history/3`."""
    written: list[str] = field(default_factory=list, repr=False)
    """What it stored, and the version that this took the place of: it may have been about somebody else."""
    subjects: list[Subject] = field(default_factory=list, repr=False)
    """Of what isn't stored as a resource."""

    def add(self, resource_type: str, id: str, version: int) -> None:
        """One more that is shown: by its version, for the next one may be about somebody else."""
        self.names.append(f"{resource_type}/{id}{PAST}{version}")

    def keep(self, resource_type: str, id: str, version: int, *, is_new: bool) -> None:
        """One more that was to be stored. Where that changed nothing, what stood there is shown."""
        if is_new:
            self.written.extend(f"{resource_type}/{id}{PAST}{n}" for n in (version, version - 1) if n)
        else:
            self.add(resource_type, id, version)

    @property
    def all(self) -> list[str]:
        """Both."""
        return [*self.names, *self.written]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request of a client that is known."""

    method: str
    interaction: str
    """What the route makes of it: `create`, `vread` …"""
    type: str = ""
    """The resource type of the path; empty for the whole system."""
    id: str = field(default="", repr=False)
    version: str = ""
    """Of a vread."""
    query: Sequence[tuple[str, str]] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)
    base: str = ""
    """What the client calls this server: `http://127.0.0.1:8080/fhir`."""
    client: Client
    peer: str = ""
    views: Views = field(default_factory=Views)

    def prefers(self, name: str) -> str:
        """What the client prefers: `minimal` for `return`; empty when it says nothing (RFC 7240)."""
        for part in self.headers.get("prefer", "").replace(";", ",").split(","):
            key, _, value = part.strip().partition("=")
            if key.lower() == name:
                return value.strip('" ') or name
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What goes back."""

    status: int = 200
    document: Mapping[str, Any] | bytes | None = field(default=None, repr=False)
    """A resource, as a document or as the bytes that are stored; None for an empty body."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
