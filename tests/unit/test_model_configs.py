"""The configs of public models in model_server/configs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from radbridge_model_server.models.architecture import build_architecture, read_architecture
from radbridge_model_server.models.memory_need import estimate_memory
from radbridge_model_server.settings import Settings, load_settings
from tests.support.model_shapes import SHAPES

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "model_server/configs").glob("*.yaml"))
PUBLIC = [path for path in CONFIGS if path.stem not in {"embedded", "openai"}]

each = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
each_public = pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)


build = cache(lambda name: build_architecture(SHAPES[name]))


def read(path: Path) -> Settings:
    return load_settings(path, check_base=False)


def test_every_model_that_was_promised_has_a_config() -> None:
    """Each shape of the tests has its file, and each file beside the packaged model's its shape."""
    assert {path.stem for path in CONFIGS} == {*SHAPES, "embedded"}


@each
def test_a_config_begins_with_the_command_that_runs_it(path: Path) -> None:
    """The first line runs this very file."""
    first = path.read_text().partition("\n")[0]
    assert first.startswith("# python -m radbridge_model_server --listen ")
    assert first.endswith(f" --config {path.relative_to(ROOT)}")


@each
def test_a_config_is_right_without_its_base(path: Path) -> None:
    """Every file parses whole, names a local folder, and fetches nothing as it stands."""
    settings = read(path)
    assert settings.base.is_absolute()
    assert settings.hub == ""


@each_public
def test_a_public_model_drafts_whole_reports_with_loras_of_its_own(path: Path) -> None:
    """No LoRA that ships was made for it; where it may be fetched from stands in a comment; its pin is explained."""
    settings = read(path)
    text = path.read_text()
    assert settings.strategy == "single"
    assert settings.site_lora == ""
    assert settings.loras is not None
    assert "\n# hub: " in text
    assert "`radbridge models check` prints it" in text


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_targets_are_layers_of_the_architecture(name: str) -> None:
    """Each target is a layer, and all layers but the head are targets."""
    architecture = build(name)
    targets = set(read(ROOT / f"model_server/configs/{name}.yaml").lora_targets)
    assert targets == set(architecture.matrices()) - {"lm_head"}


@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"openai"}))
def test_the_memory_that_is_named_is_what_the_arithmetic_gives(name: str) -> None:
    """memory_gib is the estimate or up to a GiB more."""
    settings = read(ROOT / f"model_server/configs/{name}.yaml")
    need = estimate_memory(build(name), settings)
    assert need.gib <= settings.memory_gib <= need.gib + 1


def test_the_packaged_model_needs_what_its_config_says() -> None:
    """The default of memory_gib covers the packaged model at its longest prompts and highest ranks."""
    settings = Settings()
    need = estimate_memory(read_architecture(settings.base), settings)
    assert need.gib < settings.memory_gib


@pytest.mark.parametrize(
    ("name", "billions"),
    [("llama-3.2-3b", 3.213), ("llama-2-7b", 6.738), ("llama-3-8b-instruct", 8.030), ("mistral-7b-nf4", 7.242)],
)
def test_the_shapes_are_the_public_models(name: str, billions: float) -> None:
    """Each has as many parameters as its makers say."""
    parameters = sum(p.numel() for p in build(name).model.parameters())
    assert parameters / 1e9 == pytest.approx(billions, abs=0.001)
