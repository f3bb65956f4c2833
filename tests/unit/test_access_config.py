"""`[access]`: what can't work is told before the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbridge.config import load_site
from radbridge.errors import ConfigError

PIN = "sha256/" + "A" * 43 + "="
KNOWN = f'[[access.certificates]]\nname = "pacs"\npin = "{PIN}"\nroles = ["viewer"]\n'
TLS = '[http]\ntls_cert = "c.pem"\ntls_key = "c.key"\nclient_ca = "ca.pem"\n'
OIDC = (
    '[access.oidc]\nissuer = "https://login.example"\nclient_id = "radbridge"\n'
    'redirect_url = "https://radbridge.example{path}"\nroles = {{ staff = ["viewer"] }}\n'
)


def load(folder: Path, text: str) -> None:
    (folder / "site.toml").write_text(text)
    load_site(folder / "site.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (KNOWN, "set http.client_ca"),
        (TLS + KNOWN * 2, "the pin .* is used twice"),
        (TLS + KNOWN.replace("pacs", "RadBridge"), "calls something else RadBridge"),
        ('[cdshooks.client_issuers]\nRadBridge = "https://ehr.example/jwks"\n', "client_issuers: .*else RadBridge"),
        (TLS + KNOWN.replace(PIN, "sha256/short"), "pin"),
        (OIDC.format(path="/back"), "/auth/callback"),
        (OIDC.format(path="/auth/callback").replace("viewer", "king"), "roles"),
        (OIDC.format(path="/auth/callback").replace("https://login", "http://login"), "says in clear who somebody is"),
        ('[http]\nlisten = "0.0.0.0:8080"\n', "access.required = true"),
    ],
)
def test_what_cannot_work_is_told(tmp_path: Path, text: str, said: str) -> None:
    """Certificates that nobody is asked for, doubles, a way back to nowhere, unknown roles, an unguarded port."""
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        TLS + KNOWN,
        OIDC.format(path="/auth/callback"),
        '[http]\nlisten = "0.0.0.0:8080"\n[access]\nrequired = true\n',
    ],
)
def test_what_works_is_taken(tmp_path: Path, text: str) -> None:
    """The same, whole."""
    load(tmp_path, text)
