"""Whose LoRA it is: `rad/<id>`, `site/<id>` or `persona/<name>`."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from radbridge.errors import RegistryError

_OWNER = re.compile(r"(?P<kind>rad|site|persona)/(?P<id>[A-Za-z0-9_%~-][A-Za-z0-9_.%~-]{0,119})")
_LONGEST_ID = 100


def owner_of(kind: str, id: str) -> str:
    """`kind/id` with the id made safe as a file name: percent-encoded, never `.` or `..`, at most 117 characters.

    Ids come from HL7 and are not trusted.
    """
    encoded = quote(id, safe="", errors="surrogatepass")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _LONGEST_ID:
        encoded = f"{encoded[:_LONGEST_ID]}~{hashlib.sha256(encoded.encode()).hexdigest()[:16]}"
    owner = f"{kind}/{encoded}"
    if not is_owner(owner):
        raise RegistryError("a LoRA's owner needs an id, and a kind that is rad, site or persona")
    return owner


def is_owner(name: str) -> bool:
    """Whether `name` is what `owner_of` makes."""
    return _OWNER.fullmatch(name) is not None
