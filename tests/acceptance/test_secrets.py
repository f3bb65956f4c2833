"""No secret is told: not by the site's own text, not by `radbridge check`, not in a log, not in the journal's clear."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from radbridge.config import load_site
from radbridge.errors import ConfigError
from radbridge_adapters.security.keys import Algorithm, make_private
from tests.support.gateway import GatewayProcess

PLANTED = "PLANTED-c0ffee"
"""In every secret of the test."""


def plant(folder: Path) -> str:
    """Files with secrets, and the tables that name them."""
    for name in ("metrics", "oidc", "basic", "headers"):
        (folder / name).write_text(f"{PLANTED}-{name}")
    (folder / "key.json").write_text(json.dumps(make_private(Algorithm.ES384) | {"kid": "ehr"}))
    return f"""
[http]
metrics_token_file = "{folder}/metrics"

[access.oidc]
issuer = "https://login.example"
client_id = "radbridge"
client_secret_file = "{folder}/oidc"
redirect_url = "https://radbridge.example/auth/callback"
roles = {{ staff = ["viewer"] }}

[dicom.dicomweb]
url = "http://127.0.0.1:9/dicom-web"
basic_file = "{folder}/basic"

[[fhir.destinations]]
name = "ehr"
url = "http://127.0.0.1:9/fhir"
client_id = "radbridge"
key_file = "{folder}/key.json"

[[fhircast.hubs]]
name = "hub"
url = "http://127.0.0.1:9/"
topic = "{PLANTED}-topic"

[wires.own]
password = "{PLANTED}-wire"
"""


def secrets_of(folder: Path) -> list[str]:
    """What must stand nowhere."""
    return [PLANTED, json.loads((folder / "key.json").read_text())["d"]]


def test_a_sites_own_text_holds_no_secret(tmp_path: Path) -> None:
    """`repr` of the configuration, which ends in tracebacks, shows none; nor does an error about it."""
    file = tmp_path / "site.toml"
    file.write_text(plant(tmp_path))
    shown = repr(load_site(file))
    assert [secret for secret in secrets_of(tmp_path) if secret in shown] == []
    file.write_text(plant(tmp_path).replace('name = "hub"', 'name = "two words"').replace("[wires.own]", "[wires]"))
    with pytest.raises(ConfigError) as caught:
        load_site(file)
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("key", ["hl7v2.destinations.password", "access.oidc.client_secret", "http.metrics_token"])
def test_no_key_of_the_file_holds_a_secret(tmp_path: Path, key: str) -> None:
    """A secret has a file of its own, or is in the environment: a key for it is none that the site's file knows."""
    table, _, name = key.rpartition(".")
    file = tmp_path / "site.toml"
    table = f"[[{table}]]" if table.endswith("destinations") else f"[{table}]"
    file.write_text(f'{table}\n{name} = "{PLANTED}"\n')
    with pytest.raises(ConfigError, match=name):
        load_site(file)


async def test_neither_check_nor_the_log_tells_one(tmp_path: Path) -> None:
    """`radbridge check`, a gateway's whole log and a failed login's answer, searched for every planted secret.

    Both warn of what is open in clear to other machines.
    """
    tables = plant(tmp_path).replace("[http]\n", "")
    head, _, rest = tables.partition("[access.oidc]")
    gateway = GatewayProcess(tmp_path)
    gateway.write_config()
    text = gateway.config.read_text().replace("[dicom]\n", f"{head}[dicom]\n", 1)
    text = text.replace('[hl7v2]\nlisten = "127.0.0.1', '[hl7v2]\nlisten = "0.0.0.0')
    gateway.config.write_text(f"{text}\n[access.oidc]{rest}")
    check = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "radbridge", "check", "--config", str(gateway.config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "400"},
    )
    told, _ = await check.communicate()
    assert b"destination ehr" in told
    gateway.write_config = lambda: None  # type: ignore[method-assign]  # it is written already
    await gateway.start(ready=False)
    try:
        assert gateway.get("/metrics")[0] == 401
    finally:
        await gateway.stop()
    for said in (told.decode(), gateway.log):
        assert "hl7v2.listen = '0.0.0.0:" in said
        assert [secret for secret in secrets_of(tmp_path) if secret in said] == []
