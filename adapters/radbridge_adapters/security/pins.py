"""Pins: which key a peer has to have, whatever certificate it shows. RFC 7469 2.4, without its HTTP header."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from radbridge.errors import ConfigError


def pin_of(certificate: bytes) -> str:
    """The pin of a certificate (DER): `sha256/` and the Base64 of its public key's SHA-256. Raises ValueError."""
    return _pin(x509.load_der_x509_certificate(certificate))


def read_pin(path: Path) -> str:
    """The pin of the first certificate in a file (PEM). Raises ConfigError."""
    try:
        return _pin(x509.load_pem_x509_certificate(path.read_bytes()))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except ValueError:
        raise ConfigError([f"{path}: no certificate (PEM)"]) from None


def shorten(pin: str) -> str:
    """Enough of a pin for a log to tell two strangers apart."""
    return pin.removeprefix("sha256/")[:8]


def _pin(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()
