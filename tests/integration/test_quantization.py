"""8-bit and 4-bit weights of the packaged model, on the CPU, with LoRAs on top."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from radbridge.contract import DraftResponse
from radbridge.draft import Stage
from radbridge.errors import ConfigError
from radbridge_model_server.models.architecture import read_architecture
from radbridge_model_server.models.base_model import load_base
from radbridge_model_server.models.memory_need import estimate_memory
from radbridge_model_server.models.quantization import find_quantized
from radbridge_model_server.settings import PACKAGED, Quantization, Settings, load_settings
from radbridge_training.synth import SynthReport, generate_reports
from tests.bench.quantization import draft_all, weigh

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

REPORTS = 2
AGREEMENT = 0.95
"""ROUGE-L with the drafts of whole weights; `tests.bench.quantization` says what is usual."""
SHARES: dict[Quantization, float] = {"int8": 0.26, "nf4": 0.16}
"""Of the layers' bytes in 32 bits: a quarter, an eighth, and the scales."""
forms = pytest.mark.parametrize("form", sorted(SHARES))


@forms
def test_the_layers_shrink(form: Quantization) -> None:
    """Every layer is quantized, and takes no more than its bits and scales; the estimate says what it comes to."""
    _, whole = weigh("none")
    total, layers = weigh(form)
    assert layers <= SHARES[form] * whole
    need = estimate_memory(read_architecture(PACKAGED / "base"), Settings(quantization=form))
    assert total == pytest.approx(need.weights, rel=0.05)


@forms
def test_what_is_said_to_be_quantized_is(form: Quantization) -> None:
    """The layers that the arithmetic counts are those that come out quantized."""
    foreseen = {name for name, _ in find_quantized(read_architecture(PACKAGED / "base").model)}
    model = load_base(PACKAGED / "base", device="cpu", quantization=form).model
    found = {
        name
        for name, module in model.named_modules()
        if hasattr(module, "weight") and module.weight.element_size() == 1
    }
    assert found == foreseen


@pytest.fixture(scope="module")
def whole() -> list[DraftResponse]:
    """The drafts of the model as it is."""
    return asyncio.run(draft_all("none", reports()))[0]


@forms
def test_drafts_stay_what_they_were(form: Quantization, whole: list[DraftResponse]) -> None:
    """Three LoRAs draft on quantized weights nearly what they draft on whole ones, as often and with as few faults."""
    drafts, _ = asyncio.run(draft_all(form, reports()))
    scorer = RougeScorer(["rougeL"])
    rouge = [scorer.score(w.draft, d.draft)["rougeL"].fmeasure for w, d in zip(whole, drafts, strict=True)]
    assert sum(rouge) / len(rouge) > AGREEMENT
    assert len({d.lora for d in drafts if d.stage is Stage.FINE}) == 3
    assert count_fine(drafts) >= count_fine(whole) - 1


def reports() -> list[SynthReport]:
    return list(generate_reports(20, REPORTS))


def count_fine(drafts: list[DraftResponse]) -> int:
    return sum(d.stage is Stage.FINE for d in drafts)


@pytest.mark.parametrize("form", ["awq", "gptq", "fp8"])
def test_forms_of_another_engine_are_told(form: str, tmp_path: Path) -> None:
    """What only vLLM can load is a fault of the config for this engine."""
    config = tmp_path / "model.yaml"
    config.write_text(f"quantization: {form}\n")
    with pytest.raises(ConfigError, match="quantization: the transformers engine takes int8, nf4, none"):
        load_settings(config)
