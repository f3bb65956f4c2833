"""What a case is called in identifiers and URLs: a name that tells nobody the accession."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from radbridge.case import CaseKey
from radbridge.journal import secrets
from radbridge.wire import Store

CaseNamer = Callable[[CaseKey], str]

_PURPOSE = b"fhir draft\x1f"


class CaseNames:
    """Names by the site's own secret: the same for every draft of a case, in every process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret = b""

    def __call__(self, key: CaseKey) -> str:
        """Thirty-two hex digits. Raises JournalError when the secret can't be read."""
        if not self._secret:
            self._secret = self._store.read_now(lambda conn: secrets.read(conn, secrets.CASES))
        case = f"{key.issuer}\x1f{key.accession}".encode()
        return hmac.new(self._secret, _PURPOSE + case, hashlib.sha256).hexdigest()[:32]
