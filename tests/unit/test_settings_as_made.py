"""What a base says of how it is served, and what the file says instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.config import Model, load_site
from radbridge.embedded import tell_settings
from radbridge.errors import ConfigError
from radbridge.prompt import Template
from radbridge_model_server.settings import PACKAGED, Settings, load_settings


def make_base(folder: Path, **serving: Any) -> Path:
    """A folder that looks like a base that a recipe wrote."""
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "manifest.json").write_text(json.dumps({"name": "own", "serving": serving}))
    return folder


def load(folder: Path, **said: Any) -> Settings:
    file = folder / "model.json"
    file.write_text(json.dumps(said))
    return load_settings(file)


@pytest.mark.parametrize(
    ("former", "present"),
    [("whole", "single"), ("coarse-to-fine", "coarse_to_fine"), ("coarse", "coarse"), ("single", "single")],
)
def test_former_names_of_strategies_stay(tmp_path: Path, former: str, present: str) -> None:
    """What a strategy was called before is read for ever, in the model server's file and in the site's."""
    site = tmp_path / "site.toml"
    site.write_text(f'[model]\nstrategy = "{former}"\n')
    assert load(tmp_path, strategy=former).strategy == present
    assert load_site(site).model.strategy == present


def test_the_base_says_how_it_is_served(tmp_path: Path) -> None:
    """`serving` in its manifest counts for every key that the file doesn't name, and for no other."""
    base = make_base(
        tmp_path,
        strategy="single",
        prompt_template="alpaca",
        max_new_tokens=64,
        leave_out=["age"],
        pool_sha256="0" * 64,
        device="cuda",
    )
    made = load(tmp_path, base=str(base))
    assert (made.strategy, made.prompt_template, made.max_new_tokens) == ("single", Template.ALPACA, 64)
    assert (made.leave_out, made.device) == (("age",), "cpu")
    named = load(tmp_path, base=str(base), strategy="coarse", max_new_tokens=32)
    assert (named.strategy, named.max_new_tokens, named.prompt_template) == ("coarse", 32, Template.ALPACA)


def test_another_base_has_no_packaged_loras(tmp_path: Path) -> None:
    """LoRAs made for the packaged base aren't offered to another one, unless the file names them."""
    base = str(make_base(tmp_path))
    assert (load(tmp_path, base=base).persona_loras, load(tmp_path, base=base).site_lora) == (None, "")
    assert load(tmp_path, base=base, site_lora="site/own").site_lora == "site/own"
    own = load(tmp_path, base=str(PACKAGED / "base"))
    assert (own.persona_loras, own.site_lora) == (PACKAGED / "loras", "persona/succinct")


@pytest.mark.parametrize("manifest", ["", "[]", '{"serving": 7}', "\x00", '{"name": "own"}'])
def test_a_manifest_that_says_nothing_is_none(tmp_path: Path, manifest: str) -> None:
    """A base without a manifest, or with one that can't be read, is served by the defaults."""
    base = make_base(tmp_path)
    (base / "manifest.json").write_text(manifest)
    assert load(tmp_path, base=str(base)).strategy == "coarse_to_fine"


def test_a_wrong_word_in_a_manifest_is_told(tmp_path: Path) -> None:
    """The error names the manifest and its key, and beside it what is wrong in the file."""
    base = make_base(tmp_path, strategy="magic")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, base=str(base), max_batch=0)
    manifest, file = sorted(caught.value.problems, key=lambda told: "max_batch" in told)
    assert manifest.startswith(f"{base / 'manifest.json'}: serving.strategy: ")
    assert file.startswith(f"{tmp_path / 'model.json'}: max_batch: ")


@pytest.mark.parametrize("there", [(), ("config.json",), ("model.safetensors",)])
def test_a_path_that_is_no_model_is_told(tmp_path: Path, there: tuple[str, ...]) -> None:
    """`radbridge check` says of `model.base` that there is no model, and what is missing."""
    for name in there:
        (tmp_path / name).write_text("{}")
    site = tmp_path / "site.toml"
    site.write_text(f'[model]\nbase = "{tmp_path}"\n')
    with pytest.raises(ConfigError, match=r"model\.base: no model in"):
        load_site(site)


def test_the_embedded_server_says_what_the_site_says(tmp_path: Path) -> None:
    """With `model.base` alone the base decides how it is served; what the site names wins."""
    base = make_base(tmp_path, strategy="single", site_lora="site/own")
    for model, expected in (
        (Model(base=base), ("single", "site/own")),
        (Model(base=base, strategy="coarse", site_lora=""), ("coarse", "")),
        (Model(), ("coarse_to_fine", "persona/succinct")),
    ):
        settings = load(tmp_path, **tell_settings(model))
        assert (settings.strategy, settings.site_lora) == expected


def test_trials_are_the_sites_to_allow(tmp_path: Path) -> None:
    """What the site says of canary and shadow reaches the embedded server; without a word nothing is tried."""
    told = load(tmp_path, **tell_settings(Model(canary_share=0.2, shadow_share=0.1))).lifecycle
    assert (told.canary_share, told.shadow_share) == (0.2, 0.1)
    assert load(tmp_path, **tell_settings(Model())).lifecycle.canary_share == 0


@pytest.mark.parametrize(("share", "warned"), [(0.0, True), (0.1, False)])
def test_a_trial_that_could_never_end_is_warned_of(tmp_path: Path, share: float, *, warned: bool) -> None:
    """`radbridge check` says so where new LoRAs go on trial and none is given a draft to write."""
    site = tmp_path / "site.toml"
    site.write_text(f'[model]\nloras = "{tmp_path}"\ncanary_share = {share}\n[training]\nevery = "24h"\n')
    result = CliRunner().invoke(app, ["check", "--config", str(site)])
    assert result.exit_code == 0, result.output
    assert ("canary_share is 0" in result.output) == warned
