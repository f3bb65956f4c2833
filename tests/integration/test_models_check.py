"""`radbridge models check`: what a config and its base lack is told all at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from radbridge.cli.app import app
from radbridge.registry import digest_weights
from radbridge_model_server.settings import PACKAGED
from tests.support.model_shapes import SHAPES, make_folder
from tests.support.tiny_model import make_base

ROOT = Path(__file__).parents[2]
Check = Callable[..., "Answer"]


class Answer:
    """What the command said about each part."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.is_good = document["ok"]
        self.problems = {f["part"]: f["text"] for f in document["found"] if f["grade"] == "problem"}
        self.parts = {f["part"]: f["text"] for f in document["found"]}
        self.notes = {f["part"] for f in document["found"] if f["grade"] == "note"}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command on a config of the given lines, after those of a file in model_server/configs."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))  # put back what the command sets

    def run(base: Path, *lines: str, like: str = "") -> Answer:
        keys = [line.partition(":")[0] for line in (*lines, "base:")]
        text = (ROOT / f"model_server/configs/{like}.yaml").read_text() if like else ""
        kept = [line for line in text.splitlines() if line.partition(":")[0] not in keys]
        config = tmp_path / "model.yaml"
        config.write_text("\n".join([*kept, f"base: {base}", *lines]))
        result = CliRunner().invoke(app, ["models", "check", str(config), "--json"])
        return Answer(result.exit_code, json.loads(result.stdout))

    return run


def test_the_packaged_model_passes() -> None:
    """The config that ships ends with status 0, and a table with the digest to pin."""
    result = CliRunner().invoke(app, ["models", "check", str(ROOT / "model_server/configs/embedded.yaml")])
    assert result.exit_code == 0
    assert digest_weights(PACKAGED / "base") in result.stdout
    assert "problem" not in result.stdout


@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"openai"}))
def test_a_folder_without_weights_lacks_only_them(check: Check, tmp_path: Path, name: str) -> None:
    """For each public model's shape the config fits the architecture; what is missing is weights, GPU and vLLM."""
    answer = check(make_folder(tmp_path / "base", name), like=name)
    assert answer.status == 1
    assert answer.problems.pop("files") == "the weights are missing: no safetensors"
    assert set(answer.problems) <= {"engine", "memory"}
    assert SHAPES[name].model_type in answer.parts["architecture"].lower()
    assert "digest" not in answer.parts


def test_an_openai_server_needs_no_weights_here(check: Check, tmp_path: Path) -> None:
    """With `engine: openai` config and tokenizer are enough."""
    answer = check(make_folder(tmp_path / "base", "openai"), like="openai")
    assert answer.is_good
    assert answer.status == 0


def test_everything_wrong_is_told_at_once(check: Check, tmp_path: Path) -> None:
    """Targets, rank, context and quantization that don't fit come in one answer, each with what would."""
    make_base(tmp_path / "base")
    answer = check(
        tmp_path / "base",
        "lora_targets: [q_proj, query_key_value]",
        "max_rank: 64",
        "context_tokens: 4096",
        "engine: vllm",
        "quantization: awq",
    )
    assert answer.status == 1
    assert {"context", "LoRAs", "quantization"} <= set(answer.problems)
    assert "512" in answer.problems["context"]
    assert "32" in answer.problems["LoRAs"]
    assert "not quantized" in answer.problems["quantization"]


def test_a_target_of_another_architecture_is_told(check: Check, tmp_path: Path) -> None:
    """A target that is no layer is named, with the layers that there are."""
    answer = check(make_base(tmp_path / "base"), "lora_targets: [wi_0, q_proj]", "max_rank: 8")
    assert re.search(r"no wi_0; it has .*q_proj", answer.problems["LoRAs"])


def test_files_quantized_otherwise_are_told(check: Check, tmp_path: Path) -> None:
    """AWQ files under a config that says GPTQ, or nothing, can't be what was meant."""
    folder = make_folder(tmp_path / "base", "mistral-7b-awq")
    assert "which are awq" in check(folder, like="mistral-7b-gptq").problems["quantization"]
    assert "which are awq" in check(folder, "quantization: none").problems["quantization"]


def test_pickled_weights_are_refused(check: Check, tmp_path: Path) -> None:
    """A folder whose weights are a pickle can't be used, and the reason is given."""
    folder = make_folder(tmp_path / "base", "llama-3.2-3b")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    answer = check(folder)
    assert "pickled (pytorch_model.bin)" in answer.problems["files"]


def test_missing_shards_are_named(check: Check, tmp_path: Path) -> None:
    """The shards of an index that aren't there are named; a damaged index is told."""
    folder = make_folder(tmp_path / "base", "llama-3.2-3b")
    save_file({"a": torch.zeros(1)}, folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    files = check(folder).problems["files"]
    assert files == "1 of 2 shards are missing: model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text("[]")
    assert "damaged" in check(folder).problems["files"]


@pytest.mark.parametrize(
    "config", ['{"model_type": "nonesuch"}', "{}", "no json", '{"model_type": "llama", "hidden_size": "x"}']
)
def test_an_unknown_architecture_is_told(check: Check, tmp_path: Path, config: str) -> None:
    """A config that names no known architecture, or is damaged, is a problem and no crash."""
    folder = make_base(tmp_path / "base")
    (folder / "config.json").write_text(config)
    answer = check(folder)
    assert answer.status == 1
    assert "can't be read" in answer.problems["architecture"]


def test_a_damaged_tokenizer_is_told(check: Check, tmp_path: Path) -> None:
    """A tokenizer that can't be read is a problem of its own; the architecture is checked all the same."""
    folder = make_base(tmp_path / "base")
    (folder / "tokenizer.json").write_text("{}")
    answer = check(folder, "max_rank: 8")
    assert set(answer.problems) == {"tokenizer"}
    assert "LlamaForCausalLM" in answer.parts["architecture"]


def test_a_tokenizer_of_another_model_is_told(check: Check, tmp_path: Path) -> None:
    """A tokenizer with more tokens than the model has embeddings belongs to another model."""
    folder = make_base(tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    assert "another model's" in check(folder).problems["prompt"]


def test_an_empty_place_lacks_everything(check: Check, tmp_path: Path) -> None:
    """A folder that isn't there, or is empty, is told without a traceback."""
    assert "there is no folder" in check(tmp_path / "nothing").problems["files"]
    (tmp_path / "empty").mkdir()
    assert "files" in check(tmp_path / "empty").problems


def test_a_base_that_will_be_fetched_is_no_problem(check: Check, tmp_path: Path) -> None:
    """With `hub` and nothing there yet the check says where it will come from, and fetches nothing itself."""
    answer = check(tmp_path / "base", "hub: made/up")
    assert answer.is_good
    assert "made/up" in answer.parts["files"]
    assert not (tmp_path / "base").exists()


def test_the_pin_is_compared(check: Check, tmp_path: Path) -> None:
    """A base that is pinned passes when it is the one, is a problem when it isn't, and unpinned is worth a note."""
    folder = make_base(tmp_path / "base")
    digest = digest_weights(folder)
    fits = ("max_rank: 8",)
    assert "digest" in check(folder, *fits).notes
    pinned = check(folder, *fits, f"base_digest: {digest}")
    assert pinned.is_good
    assert "digest" not in pinned.notes
    assert digest in check(folder, *fits, f"base_digest: {'f' * 64}").problems["digest"]


def test_a_wrong_config_is_told_whole(tmp_path: Path) -> None:
    """A config that doesn't parse ends with status 2, every fault named."""
    config = tmp_path / "model.yaml"
    config.write_text("strategy: magic\nmax_batch: 0\n")
    result = CliRunner().invoke(app, ["models", "check", str(config)])
    assert result.exit_code == 2
    assert "strategy" in result.output
    assert "max_batch" in result.output
