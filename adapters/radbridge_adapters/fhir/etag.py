"""Versions as entity tags (R4 http.html#versioning)."""

from __future__ import annotations

import re

from radbridge_adapters.resources.outcome import refuse

_TAG = re.compile(r'(?:W/)?"(?P<quoted>[^"]{1,64})"|(?P<bare>[A-Za-z0-9\-.]{1,64})')
_VERSION = re.compile(r"[1-9][0-9]{0,9}")


def format_etag(version: int) -> str:
    """`W/"3"`."""
    return f'W/"{version}"'


def parse_if_match(header: str) -> int | None:
    """The version that `If-Match` names; None without the header, 0 for one that we never gave.

    `"3"` and `3` are read too. Raises Issues for what is no entity tag.
    """
    if not header.strip():
        return None
    match = _TAG.fullmatch(header.strip())
    if match is None:
        raise refuse("value", 'If-Match is one entity tag, such as W/"3"')
    version = match["quoted"] or match["bare"]
    return int(version) if _VERSION.fullmatch(version) else 0


def matches(header: str, version: int) -> bool:
    """Whether `If-None-Match` names this version: then nothing has to be sent."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or str(version) in tags
