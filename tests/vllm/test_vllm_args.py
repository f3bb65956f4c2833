"""What vLLM is started with."""

from __future__ import annotations

import pytest

from radbridge.errors import ConfigError
from radbridge_model_server.engines.vllm_args import build_args, build_config
from radbridge_model_server.settings import Settings, Vllm


def test_the_sites_own_arguments_win() -> None:
    """`vllm.args` goes over what the settings say; prefix caching and LoRAs are on, a batch's LoRAs fit in memory."""
    args = build_args(Settings(engine="vllm", max_loras=20, vllm=Vllm(max_cpu_loras=5, args={"max_num_seqs": 3})))
    assert (args.max_num_seqs, args.enable_prefix_caching, args.enable_lora) == (3, True, True)
    assert (args.max_loras, args.max_cpu_loras) == (20, 20)


@pytest.mark.parametrize(("rank", "room"), [(1, 1), (9, 16), (64, 64), (65, 128), (512, 512)])
def test_ranks_get_the_room_that_vllm_can_make(rank: int, room: int) -> None:
    """The largest rank is rounded up to one that vLLM knows."""
    assert build_args(Settings(engine="vllm", max_rank=rank)).max_lora_rank == room


def test_an_unknown_argument_is_told() -> None:
    """A name in `vllm.args` that isn't vLLM's is a ConfigError that names it."""
    with pytest.raises(ConfigError, match="max_lorass"):
        build_args(Settings(engine="vllm", vllm=Vllm(args={"max_lorass": 3})))


@pytest.mark.parametrize("quantization", ["awq", "gptq"])
def test_a_base_that_is_not_quantized_as_said_does_not_start(quantization: str) -> None:
    """Where the settings say AWQ or GPTQ and the files are neither, nothing is served."""
    with pytest.raises(ConfigError, match=quantization):
        build_config(Settings.model_validate({"engine": "vllm", "quantization": quantization}))
