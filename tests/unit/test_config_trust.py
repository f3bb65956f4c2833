"""What a site's file says of stores, secrets and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbridge.config import load_site
from radbridge.errors import ConfigError

PIN = "sha256/" + 43 * "A" + "="


def write(folder: Path, text: str) -> Path:
    file = folder / "site.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://radbridge:Tr0ub4dor@db/radbridge", "postgresql+psycopg://db/radbridge?password=Tr0ub4dor"],
)
def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    """The store's URL holds no password; the error names the key for it and doesn't quote what stands there."""
    with pytest.raises(ConfigError, match=r"store\.password_file") as caught:
        load_site(write(tmp_path, f'[store]\nurl = "{url}"\n'))
    assert "Tr0ub4dor" not in str(caught.value)


def test_a_store_that_several_gateways_share(tmp_path: Path) -> None:
    """PostgreSQL is one, with its password in a file; SQLite isn't, and has no password."""
    text = '[store]\nurl = "postgresql+psycopg://radbridge@db/radbridge"\npassword_file = "pg.txt"\n'
    assert load_site(write(tmp_path, text)).store.is_shared
    assert not load_site(None).store.is_shared
    with pytest.raises(ConfigError, match="password_file goes with"):
        load_site(write(tmp_path, '[store]\npassword_file = "pg.txt"\n'))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'[http]\ntls_cert = "a"\ntls_key = "b"\nclient_pins = ["{PIN}"]', "client_pins needs client_ca"),
        (f'[hl7v2.tls]\ncert = "a"\nkey = "b"\nclient_pins = ["{PIN}"]', "client_pins needs client_ca"),
        ('[hl7v2.tls]\ncert = "a"\nkey = "b"\nclient_ca = "c"\nclient_pins = ["sha1/aa"]', "pattern"),
        (f'[[hl7v2.destinations]]\nname = "a"\naddress = "h:1"\npins = ["{PIN}"]', "need tls = true"),
        ('[[hl7v2.destinations]]\nname = "a"\naddress = "h:1"\nwindow = ["07:00-19:00"]', "Mon-Fri 07:00-19:00"),
        ('[traces]\nheaders_file = "h"', "need endpoint"),
        ('[encryption]\nkey_file = "k"\nkey_command = ["kms"]', "exclude each other"),
    ],
)
def test_halves_are_told(tmp_path: Path, text: str, told: str) -> None:
    """What makes sense only with something else is an error without it, and a wrong form shows the right one."""
    with pytest.raises(ConfigError, match=told):
        load_site(write(tmp_path, text + "\n"))


@pytest.mark.parametrize("scheme", ["http://", "https://"])
def test_keys_that_come_in_clear(tmp_path: Path, scheme: str) -> None:
    """Whoever could change keys on their way could be any caller: beyond this machine they come by https alone."""
    text = (
        '[[fhir.clients]]\nid = "pacs"\nscopes = ["system/*.rs"]\njwks_uri = "{0}pacs.example/jwks"\n'
        '[cdshooks.client_issuers]\n"ehr" = "{0}ehr.example/jwks"\n'
        '[cdshooks.client_issuers.other]\njwks_uri = "{0}192.0.2.1/jwks"\n'
    )
    load_site(write(tmp_path, text.format("http://127.0.0.1:1/")))
    if scheme == "https://":
        load_site(write(tmp_path, text.format(scheme)))
        return
    with pytest.raises(ConfigError) as caught:
        load_site(write(tmp_path, text.format(scheme)))
    told = [problem.partition(": ")[2] for problem in caught.value.problems]
    places = ["fhir.clients: 'pacs'", "cdshooks.client_issuers: 'ehr'", "cdshooks.client_issuers: 'other'"]
    assert [problem.partition(": the keys at")[0] for problem in told] == places
