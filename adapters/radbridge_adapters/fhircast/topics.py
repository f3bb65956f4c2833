"""What a session is known by: its topic is a secret of those who take part, so only an HMAC of it is kept."""

from __future__ import annotations

import hashlib
import hmac

from radbridge.journal import secrets
from radbridge.wire import Desk

SECRET = "fhircast-topics"  # noqa: S105 - the secret's name


class TopicNames:
    """Digests of topics by the site's own secret: the same in every process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._secret = b""

    async def digest(self, topic: str) -> str:
        """Sixty-four hex digits. Raises JournalError."""
        if not self._secret:
            await self._desk.store.write(secrets.make, SECRET)
            self._secret = await self._desk.store.read(lambda conn: secrets.read(conn, SECRET))
        return hmac.new(self._secret, topic.encode(), hashlib.sha256).hexdigest()
