"""Read, vread and history (R4 http.html#read, #vread, #history)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import format_datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection

from radbridge.wire import Store
from radbridge_adapters.fhir.etag import format_etag, matches
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.store.read import StoredVersion, count_versions, newest, past_of, version_of
from radbridge_adapters.fhir.store.record import format_instant
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.outcome import Issues, refuse

MAX_HISTORY = 500

Mask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What is shown of a resource that holds secrets."""


class Reading:
    """Shows what is stored, byte for byte; types with a mask are shown through it."""

    def __init__(
        self, store: Store, masks: Mapping[str, Mask], on_show: Callable[[bytes], None] = lambda _: None
    ) -> None:
        """`on_show` hears of every resource that somebody gets."""
        self._store = store
        self._masks = masks
        self._on_show = on_show

    async def read(self, request: Request) -> Answer:
        """The present state; 304 when the client has it."""
        found: StoredVersion | None = await self._store.read(partial(_newest, request))
        return self._answer(found, request)

    async def vread(self, request: Request) -> Answer:
        """One version."""
        if not (request.version.isascii() and request.version.isdigit()):
            raise _not_found()
        number = int(request.version[:10])
        found = await self._store.read(lambda conn: version_of(conn, request.type, request.id, number))
        return self._answer(found, request)

    async def history(self, request: Request) -> Answer:
        """The versions, newest first; `_count` of them."""
        told = dict(request.query)
        at_most = min(int(told["_count"][:6]) if _is_number(told.get("_count")) else MAX_HISTORY, MAX_HISTORY)
        before = int(told["_before"][:10]) if _is_number(told.get("_before")) else 2**31
        total, found = await self._store.read(
            lambda conn: (
                count_versions(conn, request.type, request.id),
                past_of(conn, request.type, request.id, before=before, at_most=at_most),
            )
        )
        if not total:
            raise _not_found()
        for version in found:
            request.views.add(version.type, version.id, version.version)
        address = f"{request.base}/{request.type}/{request.id}"
        links = [{"relation": "self", "url": f"{address}/_history"}]
        if found and found[-1].version > 1:
            query = f"_count={at_most}&_before={found[-1].version}"
            links.append({"relation": "next", "url": f"{address}/_history?{query}"})
        entries = [self._entry(version, address) for version in found]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "total": total, "link": links}
        return Answer(document=bundle | ({"entry": entries} if entries else {}))

    def show(self, resource_type: str, raw: bytes) -> bytes:
        """The bytes of a resource as others may see them."""
        self._on_show(raw)
        mask = self._masks.get(resource_type)
        return write_json(mask(read_json(raw))) if mask else raw

    def _answer(self, found: StoredVersion | None, request: Request) -> Answer:
        if found is None:
            raise _not_found()
        request.views.add(found.type, found.id, found.version)
        headers = {
            "etag": format_etag(found.version),
            "last-modified": format_datetime(found.at.astimezone(UTC), usegmt=True),
        }
        if matches(request.headers.get("if-none-match", ""), found.version):
            return Answer(status=304, headers=headers)
        return Answer(document=self.show(found.type, found.raw), headers=headers)

    def _entry(self, version: StoredVersion, address: str) -> dict[str, Any]:
        url = version.type if version.method == "POST" else f"{version.type}/{version.id}"
        return {
            "fullUrl": address,
            "resource": orjson.Fragment(self.show(version.type, version.raw)),
            "request": {"method": version.method, "url": url},
            "response": {
                "status": "201" if version.version == 1 else "200",
                "etag": format_etag(version.version),
                "lastModified": format_instant(version.at),
            },
        }


def _newest(request: Request, conn: Connection) -> StoredVersion | None:
    return newest(conn, request.type, request.id)


def _is_number(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit()


def _not_found() -> Issues:
    return refuse("not-found", "there is no such resource", status=404)
