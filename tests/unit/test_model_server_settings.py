"""The model server's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from radbridge.errors import ConfigError
from radbridge_model_server.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "model_server/configs/embedded.yaml"


def write(folder: Path, text: str) -> Path:
    file = folder / "model.yaml"
    file.write_text(text)
    return file


def test_the_example_shows_the_defaults() -> None:
    """The file in the repository means the same as no file."""
    assert load_settings(EXAMPLE) == load_settings(None) == Settings()


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """All faults come together, each with its key."""
    file = write(tmp_path, "strategy: magic\nmax_batch: 0\nsite_lora: ../../etc\npersonas: {a: b}\nunknown: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    told = "\n".join(caught.value.problems)
    for key in ("strategy", "max_batch", "site_lora", "personas.a", "unknown"):
        assert f"{file}: {key}" in told


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "just text", "1: 2", "\x00"])
def test_what_is_no_table_is_told(tmp_path: Path, text: str) -> None:
    """A file that isn't a table of keys raises ConfigError that names the file."""
    file = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"model\.yaml"):
        load_settings(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that can't be read raises ConfigError."""
    with pytest.raises(ConfigError, match="can't be read"):
        load_settings(tmp_path / "nothing.yaml")


def test_a_base_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Without a model only the coarse strategy starts."""
    with pytest.raises(ConfigError, match="no model in"):
        load_settings(write(tmp_path, f"base: {tmp_path}\n"))
    assert load_settings(write(tmp_path, f"base: {tmp_path}\nstrategy: coarse\n")).strategy == "coarse"


def test_json_and_nothing_are_yaml_too(tmp_path: Path) -> None:
    """`radbridge up` writes JSON; an empty file means the defaults."""
    assert load_settings(write(tmp_path, '{"strategy": "coarse"}')).strategy == "coarse"
    assert load_settings(write(tmp_path, "strategy: coarse\n")) == load_settings(
        write(tmp_path, '{"strategy": "coarse"}')
    )
