"""Pages: where a search goes on, in a token that tells nobody what was searched for.

A search by record number must not leave that number in the links that browsers, proxies and logs keep. So the token is
encrypted with a secret of the site, and holds across a restart.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from cryptography.fernet import Fernet, InvalidToken

from radbridge_adapters.resources.outcome import Issues, refuse

LIFE_S = 24 * 3600
SECRET = "fhir-pages"  # noqa: S105 - the secret's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where a search goes on."""

    type: str
    client: str
    """Nobody else may go on with it."""
    pairs: Sequence[tuple[str, str]] = field(repr=False)
    """The parameters as they were given."""
    until: int
    """The newest version when the search began: what was made after it isn't part of its pages."""
    after: tuple[int | str, str] = field(repr=False)
    """Sort key and id of the last match so far."""


class CursorBox:
    """Makes tokens of cursors, and cursors of tokens."""

    def __init__(self, secret: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"pages" + secret).digest()))

    def seal(self, cursor: Cursor) -> str:
        """The token of a cursor."""
        document = [cursor.type, cursor.client, list(cursor.pairs), cursor.until, list(cursor.after)]
        return self._fernet.encrypt(orjson.dumps(document)).decode().rstrip("=")

    def open(self, token: str, *, type: str, client: str) -> Cursor:
        """The cursor of a token. Raises Issues: 410 for an old one, 400 for one that is not ours or not theirs."""
        sealed = (token + "=" * (-len(token) % 4)).encode("ascii", "replace")
        try:
            document = orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise _no_page() from None
        cursor = Cursor(
            type=document[0],
            client=document[1],
            pairs=[(name, value) for name, value in document[2]],
            until=document[3],
            after=(document[4][0], document[4][1]),
        )
        if (cursor.type, cursor.client) != (type, client):
            raise _no_page()
        try:
            self._fernet.decrypt(sealed, ttl=LIFE_S)
        except InvalidToken:
            raise refuse("expired", "the page is too old; search again", status=410) from None
        return cursor


def _no_page() -> Issues:
    return refuse("value", "no page of this search", status=400)
