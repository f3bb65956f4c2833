"""`radbridge keys`: our signing key is made once, kept to its owner, and shown only by its public part."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbridge.errors import ConfigError
from radbridge_adapters.security.keys import Algorithm, app, read_private
from tests.support.certificates import Authority


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_is_made_and_shown(tmp_path: Path, algorithm: Algorithm) -> None:
    """The file is readable by its owner alone; what is printed, to be registered, has no private part."""
    path = tmp_path / "key.json"
    made = CliRunner().invoke(app, ["make", str(path), "--algorithm", algorithm.value])
    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = CliRunner().invoke(app, ["show", str(path)])
    assert json.loads(shown.output) == json.loads(made.output)
    (public,) = json.loads(made.output)["keys"]
    assert (public["alg"], public["use"]) == (algorithm.value, "sig")
    assert not {"d", "p", "q", "dp", "dq", "qi"} & public.keys()
    assert read_private(path).jwk.algorithm_name == algorithm.value


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """A second `make` leaves the first key as it is."""
    path = tmp_path / "key.json"
    path.write_text("precious")
    assert CliRunner().invoke(app, ["make", str(path)]).exit_code == 1
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    "text",
    ["", "7", "{}", '{"kty":"oct","k":"AAAA","kid":"x","d":"y"}', '{"kty":"EC","kid":"1"}'],
)
def test_what_is_no_key_is_a_config_error(tmp_path: Path, text: str) -> None:
    """It names the file and says what to do, and quotes nothing of it."""
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="radbridge keys make"):
        read_private(path)
    with pytest.raises(ConfigError, match="radbridge keys make"):
        read_private(tmp_path / "nowhere.json")


def test_a_pin_is_what_openssl_says(tmp_path: Path) -> None:
    """`keys pin` prints the SHA-256 of the public key as openssl computes it; what is no certificate is an error."""
    certificate = Authority(tmp_path).issue("pacs")
    words = (f"x509 -in {certificate} -pubkey -noout", "pkey -pubin -outform der", "dgst -sha256 -binary")
    digest = b""
    for word in words:
        digest = subprocess.run(["openssl", *word.split()], input=digest, capture_output=True, check=True).stdout  # noqa: S607 - whichever is there
    printed = CliRunner().invoke(app, ["pin", str(certificate)])
    assert printed.output.strip() == "sha256/" + base64.b64encode(digest).decode()
    (tmp_path / "rubbish").write_text("rubbish")
    assert CliRunner().invoke(app, ["pin", str(tmp_path / "rubbish")]).exit_code == 2
    assert CliRunner().invoke(app, ["pin", str(tmp_path / "none")]).exit_code == 2
