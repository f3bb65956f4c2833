"""TLS of every wire, in one place: contexts that check pins and renew themselves.

A context reads its files again when they change, so that certificates are renewed without a restart. The pins are
checked in the handshake: nothing that either side says after it reaches a peer with another key.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self

import structlog
from cryptography import x509

from radbridge.config.tls import Tls, TlsClient, Trust
from radbridge.errors import ConfigError
from radbridge_adapters.security.pins import pin_of, shorten

log = structlog.get_logger(__name__)

PEER_PIN: Final = "peer_pin"
"""In `scope["state"]`: the pin of the certificate that the caller showed; empty where it showed none."""
RENEW_S: Final = 60.0
"""How often the files are looked at."""
REFUSED_S: Final = 0.5
"""In TLS 1.3 a server refuses our certificate behind our side of the handshake: how long a mere try waits for that."""


def server_context(name: str, settings: Tls) -> ssl.SSLContext:
    """What a listener speaks. Raises ConfigError for a file that can't be used, under the table's `name`."""
    files = [settings.cert, settings.key, *([settings.client_ca] if settings.client_ca else [])]

    def make() -> _Pinned:
        context = _Pinned(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.cert, settings.key)
        if settings.client_ca:
            context.load_verify_locations(settings.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        context.pins = frozenset(settings.client_pins)
        return context

    return _Renewing(ssl.PROTOCOL_TLS_SERVER, name, files, make)


def expires_at(cert: Path) -> datetime:
    """Until when a certificate (PEM, the first of its chain) is valid. Raises OSError, ValueError."""
    return x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc


def client_context(name: str, trust: Trust) -> ssl.SSLContext:
    """Whom to trust, and what to show of ourselves. Raises ConfigError for a file that can't be used."""
    key = trust.key_file if isinstance(trust, TlsClient) else None
    files = [file for file in (trust.ca_file, trust.cert_file, key) if file is not None]

    def make() -> _Pinned:
        context = _Pinned(ssl.PROTOCOL_TLS_CLIENT)
        if trust.ca_file is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(trust.ca_file)
        if trust.cert_file is not None:
            context.load_cert_chain(trust.cert_file, key)
        context.pins = frozenset(trust.pins)
        return context

    return _Renewing(ssl.PROTOCOL_TLS_CLIENT, name, files, make)


def peer_pin(transport: asyncio.BaseTransport) -> str:
    """The pin of the certificate that the peer showed, which was checked; empty where it showed none."""
    connection = transport.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True) if connection is not None else None
    return pin_of(shown) if shown else ""


class _PinnedObject(ssl.SSLObject):
    """One side of a connection: its handshake is over only when the peer's key is one of the pinned."""

    def do_handshake(self) -> None:
        super().do_handshake()
        pins = self.context.pins if isinstance(self.context, _Pinned) else frozenset()
        if not pins:
            return
        shown = self.getpeercert(binary_form=True)
        pin = pin_of(shown) if shown else ""
        if pin not in pins:
            what = f"its key is {shorten(pin)}…, which isn't pinned" if pin else "it shows no certificate"
            error = ssl.SSLCertVerificationError(1, what)
            error.reason = what
            raise error


class _Pinned(ssl.SSLContext):
    """TLS 1.2 or newer, with pins."""

    sslobject_class = _PinnedObject
    pins: frozenset[str] = frozenset()

    def __init__(self, protocol: int) -> None:
        self.minimum_version = ssl.TLSVersion.TLSv1_2


class _Renewing(ssl.SSLContext):
    """Wraps each connection by a context made of the files as they are then.

    By itself it trusts nobody and shows nothing: what doesn't go through `wrap_bio` fails.
    """

    def __new__(cls, protocol: int, *_: object) -> Self:
        return super().__new__(cls, protocol)

    def __init__(self, protocol: int, name: str, files: Sequence[Path], make: Callable[[], _Pinned]) -> None:
        self._name = name
        self._files = files
        self._make = make
        self._stamps = self._look()
        self._looked_at = monotonic()
        self._alpn: Sequence[str] = ()
        self._now = self._read()

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """As `ssl.SSLContext.wrap_bio`."""
        self._renew()
        return self._now.wrap_bio(*args, **named)

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """As `ssl.SSLContext.set_alpn_protocols`."""
        self._alpn = tuple(alpn_protocols)
        self._now.set_alpn_protocols(self._alpn)

    def _renew(self) -> None:
        if monotonic() - self._looked_at < RENEW_S:
            return
        self._looked_at = monotonic()
        stamps = self._look()
        if stamps == self._stamps:
            return
        try:
            made = self._read()
        except ConfigError as error:  # half written, or gone: what was read before goes on
            log.warning("certificates not renewed", part=self._name, reason=error, hint="check the files' owner")
            return
        if self._alpn:
            made.set_alpn_protocols(self._alpn)
        self._now, self._stamps = made, stamps
        log.info("certificates renewed", part=self._name)

    def _look(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(file) for file in self._files)

    def _read(self) -> _Pinned:
        try:
            return self._make()
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(dict.fromkeys(map(str, self._files)))
            problem = f"{self._name}: a certificate, key or authority can't be used ({type(error).__name__})"
            raise ConfigError([f"{problem}; check {files}"]) from None


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
