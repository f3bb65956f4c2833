"""A server that answers everybody says so, and doesn't come about by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from radbridge.config import load_site
from radbridge.errors import ConfigError
from tests.support.smart import es384

CLIENT = {"id": "pacs", "jwks": es384().jwks, "scopes": ["system/*.rs"]}


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_on_loopback_nobody_has_to_log_in(tmp_path: Path, listen: str) -> None:
    """The embedded default starts as it is."""
    site = load_site(write(tmp_path, f'[http]\nlisten = "{listen}"\n'))
    assert not site.fhir.clients


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "192.0.2.7:8080", "[::]:8080", "radbridge.example:8080"])
def test_on_a_network_somebody_has_to_be_named(tmp_path: Path, listen: str) -> None:
    """Each open part is told, with what to do, before anything listens."""
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, f'[http]\nlisten = "{listen}"\n'))
    assert len(caught.value.problems) == 3
    for table, problem in zip(("fhir", "fhircast", "cdshooks"), caught.value.problems, strict=True):
        assert f"{table}: " in problem
        assert f"{table}.enabled = false" in problem
        assert "fhir.open = true" in problem


def test_named_clients_or_a_clear_word_open_a_network(tmp_path: Path) -> None:
    """Clients and issuers, parts turned off, or `open`: each is a decision that the file shows."""
    network = '[http]\nlisten = "0.0.0.0:8080"\n'
    issuers = '[cdshooks.client_issuers]\n"ehr" = "https://ehr.example/jwks"\n'
    jwks = json.dumps(CLIENT["jwks"]).replace(":", " =")
    clients = f'[[fhir.clients]]\nid = "pacs"\nscopes = ["system/*.rs"]\njwks = {jwks}\n'
    off = "[fhir]\nenabled = false\n[fhircast]\nenabled = false\n[cdshooks]\nenabled = false\n"
    for text in (network + issuers + clients, network + off, network + "[fhir]\nopen = true\n"):
        load_site(write(tmp_path, text))


def test_a_scope_is_needed_for_a_client(tmp_path: Path) -> None:
    """A client that may do nothing is a mistake in the file."""
    with pytest.raises(ConfigError, match="scopes"):
        load_site(write(tmp_path, '[[fhir.clients]]\nid = "x"\nscopes = []\njwks_uri = "https://x/jwks"\n'))
