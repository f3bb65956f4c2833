"""What `radbridge check` says of wires that speak in clear."""

from __future__ import annotations

from typing import Any, cast

import pytest

from radbridge.config import Site
from radbridge.config.clear import find_clear

TLS = {"cert": "gateway.pem", "key": "gateway.key"}
RIS = {"name": "ris", "address": "192.0.2.7:2575"}
PACS = {"name": "pacs", "ae_title": "PACS", "address": "192.0.2.7:104"}
TOKENS = {"client_id": "radbridge", "key_file": "key.json", "token_url": "http://ehr.example/token"}
PG = "postgresql+psycopg://"
EHR = {"name": "ehr", "url": "http://ehr.example/fhir"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({}, []),
        ({"http": {"listen": "0.0.0.0:8080"}}, ["http.listen"]),
        ({"http": {"listen": "0.0.0.0:8080"}, "fhir": {"base_url": "https://proxy.example/fhir"}}, []),
        ({"hl7v2": {"listen": "0.0.0.0:2575"}}, ["hl7v2.listen"]),
        ({"hl7v2": {"listen": "0.0.0.0:2575", "tls": TLS}}, []),
        ({"dicom": {"listen": "0.0.0.0:104", "peers": [PACS | {"tls": True}]}}, ["dicom.listen"]),
        ({"dicom": {"peers": [PACS], "tls": TLS}}, ["dicom.peers: 'pacs'"]),
        ({"hl7v2": {"destinations": [RIS]}}, ["hl7v2.destinations: 'ris'"]),
        ({"hl7v2": {"destinations": [RIS | {"tls": True}]}}, []),
        ({"fhir": {"destinations": [EHR]}}, ["fhir.destinations: 'ehr'"]),
        ({"fhir": {"destinations": [EHR | {"url": "https://h"} | TOKENS]}}, ["fhir.destinations: token_url of 'ehr'"]),
        ({"model": {"url": "http://gpu.example:8090"}}, ["model"]),
        ({"model": {"url": "http://127.0.0.1:8090"}}, []),
        ({"audit": {"syslog": {"address": "192.0.2.7:514", "tls": False}}}, ["audit.syslog"]),
        ({"audit": {"syslog": {"address": "127.0.0.1:514", "tls": False}}}, []),
        ({"traces": {"endpoint": "http://collector.example:4318/v1/traces"}}, ["traces"]),
        ({"store": {"url": f"{PG}r@db.example/r"}}, ["store.url"]),
        ({"store": {"url": f"{PG}r@db.example:5432/r?sslmode=require"}}, ["store.url"]),
        ({"store": {"url": f"{PG}r@db.example/r?sslmode=verify-full"}}, []),
        ({"store": {"url": f"{PG}r@127.0.0.1/r"}}, []),
        ({"store": {"url": f"{PG}/r?host=/run/postgresql"}}, []),
        ({"store": {"url": f"{PG}/r?host=127.0.0.1,db2.example:5433"}}, ["store.url"]),
        ({"store": {"url": f"{PG}r@localhost,db2.example/r"}}, ["store.url"]),
    ],
)
def test_what_goes_in_clear_is_told(tables: dict[str, Any], said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each listener and each peer beyond this machine without TLS, and none that has it."""
    monkeypatch.delenv("PGSSLMODE", raising=False)
    warnings = find_clear(Site(**tables))
    assert len(warnings) == len(said)
    assert all(warning.startswith(place) for warning, place in zip(warnings, said, strict=True))


def test_libpqs_own_way_to_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PGSSLMODE` in the environment proves a server as the URL does."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert find_clear(Site(store=cast("Any", {"url": f"{PG}r@db.example/r"}))) == []
