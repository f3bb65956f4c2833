"""The files that a site's file names: none that is opened at the start is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radbridge.config import Section, Site
from radbridge.config.files import PUBLIC, SECRET, find_certificates, find_files

ELSEWHERE = {
    "base": "a folder, looked at with the config",
    "lexicon": "read with the config",
    "loras": "a folder",
    "registry": "a folder",
    "work": "a folder",
}
"""Keys with paths that are no secret's and no certificate's."""
TLS = {"cert": "own.pem", "key": "own.key", "client_ca": "ca.pem"}


def sections(kind: type[Section] = Section) -> Iterator[type[Section]]:
    for below in kind.__subclasses__():
        yield below
        yield from sections(below)


def test_each_key_with_a_path_is_known() -> None:
    """A new one has to be put where `radbridge check` opens it, or here, with the reason why not."""
    keys = {
        key for section in sections() for key, field in section.model_fields.items() if "Path" in str(field.annotation)
    }
    assert keys >= SECRET | PUBLIC
    assert keys - SECRET - PUBLIC - {"cert_file"} == set(ELSEWHERE)


def site() -> Site:
    tables: dict[str, Any] = {
        "hl7v2": {
            "tls": TLS,
            "destinations": [
                {"name": "ris", "address": "h:1", "tls": True, "cert_file": "ris.pem", "key_file": "ris.key"}
            ],
        },
        "fhir": {"destinations": [{"name": "ehr", "url": "https://h", "cert_file": "ehr.pem"}]},
        "cdshooks": {"client_issuers": {"https://i": {"jwks_uri": "https://i/jwks", "cert_file": "i.pem"}}},
        "http": {"tls_cert": "http.pem", "tls_key": "http.key"},
        "model": {"url": "https://gpu", "ca_file": "ca.pem", "cert_file": "model.pem"},
    }
    return Site(**tables)


def test_which_files_are_secret() -> None:
    """Keys are, and a certificate that holds its own; authorities and certificates beside their key are not."""
    found = {file.key: file.is_secret for file in find_files(site())}
    assert found == {
        "hl7v2.tls.cert": False,
        "hl7v2.tls.key": True,
        "hl7v2.tls.client_ca": False,
        "hl7v2.destinations.ris.cert_file": False,
        "hl7v2.destinations.ris.key_file": True,
        "fhir.destinations.ehr.cert_file": True,
        "cdshooks.client_issuers.https://i.cert_file": True,
        "http.tls_cert": False,
        "http.tls_key": True,
        "model.ca_file": False,
        "model.cert_file": True,
    }


def test_which_certificates_are_ours() -> None:
    """Those that listeners show and those that we show to others, each by who shows it."""
    assert dict(find_certificates(site())) == {
        "http": Path("http.pem"),
        "hl7v2": Path("own.pem"),
        "hl7v2.destinations.ris": Path("ris.pem"),
        "fhir.destinations.ehr": Path("ehr.pem"),
        "cdshooks.client_issuers.https://i": Path("i.pem"),
        "model": Path("model.pem"),
    }
