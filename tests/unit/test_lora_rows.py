"""A batch whose rows have LoRAs of their own writes what PEFT writes."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig

from radbridge_model_server.engines.lora_rows import apply_loras
from tests.support.walking_model import LIVELY, make_model

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

RANKS = {"first": 4, "second": 8, "third": 2}
PROMPT = torch.randint(3, 256, (5, 12), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model() -> PeftModel:
    shape = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=256,
        tie_word_embeddings=False,
    )
    made: PeftModel | None = None
    for slot, rank in RANKS.items():
        targets = ["q_proj", "down_proj"] if slot == "first" else ["q_proj", "v_proj"]
        config = LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=targets, init_lora_weights=False)
        if made is None:
            made = get_peft_model(make_model(shape, LIVELY), config, adapter_name=slot)
        else:
            made.add_adapter(slot, config)
    assert made is not None
    return made.eval()


@pytest.mark.parametrize(
    "slots", [["first", "second", "third", None, "first"], ["second"] * 5, [None] * 5], ids=["mixed", "one", "base"]
)
def test_rows_get_their_own_lora(model: PeftModel, slots: list[str | None]) -> None:
    """Rows of several LoRAs, of different ranks and targets, and of none get the logits that PEFT gives each."""
    names = [slot or "__base__" for slot in slots]
    with torch.inference_mode():
        expected = model(input_ids=PROMPT, adapter_names=names).logits
        with apply_loras(model, slots):
            found = model(input_ids=PROMPT).logits
        after = model(input_ids=PROMPT, adapter_names=names).logits
    torch.testing.assert_close(found, expected)
    assert torch.equal(after, expected)
