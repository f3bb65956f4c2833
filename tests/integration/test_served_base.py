"""A base folder as a recipe leaves it, served by `model.base` alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.registry import digest_weights
from tests.support.tiny_model import make_base

FINDINGS = "There is a 12 mm nodule in the right upper lobe. No pleural effusion."


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that says of itself that it goes from findings to impression, in few words."""
    folder = make_base(tmp_path_factory.mktemp("base"))
    serving = {"strategy": "single", "max_new_tokens": 16}
    manifest = {"name": "tiny", "digest": digest_weights(folder), "prompt_version": "p2", "serving": serving}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_base_is_served_as_it_was_made(base: Path, tmp_path: Path) -> None:
    """`radbridge draft` with a site that names the folder and nothing else drafts by the base's own strategy."""
    site, cases, drafts = tmp_path / "site.toml", tmp_path / "cases.jsonl", tmp_path / "drafts.jsonl"
    site.write_text(f'[model]\nbase = "{base}"\ndeadline_s = 600\nstart_timeout_s = 600\n')
    cases.write_text(json.dumps({"id": "a", "findings": FINDINGS}) + "\n")
    words = ["draft", "--config", str(site), "--in", str(cases), "--out", str(drafts)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    [row] = (json.loads(line) for line in drafts.read_text().splitlines())
    assert row["strategy"] == "single"
    # Random weights never end: 16 tokens were written, as `max_new_tokens` says, and refused.
    assert row["fallback"][-1] == "text refused: it doesn't end"
    assert "no signer named" in row["fallback"]


def test_a_path_that_is_no_model_stops_the_check(tmp_path: Path) -> None:
    """`radbridge check` has status 2 and names the key, the folder and what is missing there."""
    site = tmp_path / "site.toml"
    site.write_text(f'[model]\nbase = "{tmp_path}"\n')
    result = CliRunner().invoke(app, ["check", "--config", str(site)])
    assert result.exit_code == 2
    told = " ".join(result.output.split())
    assert "model.base: no model in" in told
    assert "config.json" in told
