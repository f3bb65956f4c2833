"""What the tables of a site's file are made from."""

from __future__ import annotations

import codecs
import ipaddress
import re
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_ADDRESS = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[^\s\x00-\x1f:\[\]]+):(?P<port>\d{1,5})$")


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host and port. Raises ValueError naming the form."""
    match = _ADDRESS.match(address)
    if not match or int(match["port"]) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:2575")
    return match["host"].strip("[]"), int(match["port"])


@cache
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_clear(url: str) -> bool:
    """Whether what is asked there can be read and changed on its way: plain HTTP to another machine."""
    return url.startswith("http://") and not is_loopback(urlsplit(url).hostname or "")


def _checked_address(address: str) -> str:
    host, _ = split_address(address)
    try:
        host.encode("idna")  # as whoever binds or connects will do: there it is a UnicodeError without a hint
    except UnicodeError:
        raise ValueError("is no name that DNS can have: between dots stand 1 to 63 characters") from None
    return address


def _checked_timezone(name: str) -> str:
    if name != "UTC" and name not in available_timezones():
        raise ValueError("must be UTC or a name of the time zone database, such as Europe/Zurich")
    return name


def _checked_charset(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("must be a Python codec, such as utf-8 or iso8859-1") from None
    return name


Address = Annotated[str, AfterValidator(_checked_address)]
Charset = Annotated[str, AfterValidator(_checked_charset)]
FieldName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2}-[1-9]\d?$")]
"""A field of a segment, such as `OBR-18`."""
Timezone = Annotated[str, AfterValidator(_checked_timezone)]
DestinationName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
"""Of all destinations of all wires, each has a name of its own."""
Url = Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$")]
"""Without credentials, query or fragment: a URL may be logged."""


_FORMER_STRATEGIES = {"whole": "single", "coarse-to-fine": "coarse_to_fine"}
"""As they were called before 0.7; a site's file may go on saying so."""


def _by_present_name(said: object) -> object:
    return _FORMER_STRATEGIES.get(said, said) if isinstance(said, str) else said


Strategy = Annotated[Literal["single", "coarse_to_fine", "coarse"], BeforeValidator(_by_present_name)]
"""How the model server goes from findings to an impression."""


class Section(BaseModel):
    """A table of the file; a key it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
