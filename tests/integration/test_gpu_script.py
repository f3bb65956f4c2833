"""The GPU script on a machine without one: `--shape tiny --device cpu` runs every line of it that needs no GPU."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import __main__ as gpu
from tests.gpu import train

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
WORDS = ("gpu", "--shape", "tiny", "--device", "cpu", "--engine", "transformers", "--drafts", "8")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("gpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        patch.setattr(sys, "argv", [*WORDS, "--out", str(out)])
        assert gpu.main() == 0
    [file] = out.iterdir()
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return table


def test_peft_agrees_with_itself_and_not_without_its_lora(told: dict[str, Any]) -> None:
    """The parity table finds no error where there is none, and a large one where the LoRA is left out."""
    left_out, base, lora = told["parity"][:3]
    assert base["logprob error, nats"] == lora["logprob error, nats"] == 0
    assert base["greedy token agrees"] == lora["greedy token agrees"] == "100.0%"
    assert left_out["logprob error, nats"] > 0.1


def test_every_figure_is_there(told: dict[str, Any]) -> None:
    """Each number of LoRAs has its tokens a second, each concurrency its p50 and p99, and the device is named."""
    assert [row["LoRAs"] for row in told["speed"][:3]] == [0, 1, 4]
    assert [row["concurrency"] for row in told["latency"][:2]] == [1, 4]
    assert all(row["new tokens/s"] > 0 for row in told["speed"])
    assert all(row["p99 ms"] >= row["p50 ms"] > 0 for row in told["latency"])
    assert told["device"]
    assert told["versions"]["torch"]


def test_the_training_script_tells_what_a_step_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny model each objective runs through the product's own trainers and has its step time and tokens."""
    monkeypatch.setattr(sys, "argv", ["train", "--shape", "tiny", "--out", str(tmp_path)])
    assert train.main() == 0
    [file] = tmp_path.iterdir()
    table = json.loads(file.read_text(encoding="utf-8"))
    assert [row["objective"] for row in table["training"]] == ["SFT", "DPO", "GRPO"]
    assert all(row["s/step"] > 0 and row["tokens/s"] > 0 and row["peak GiB"] > 0 for row in table["training"])
    assert not table["faults"]
