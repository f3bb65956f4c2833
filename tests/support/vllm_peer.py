"""The real vLLM as a hospital runs it: its own OpenAI-compatible server, in a process of its own.

Only on a CPU it needs a correction, or a prompt for the base gets a LoRA's text beside LoRA prompts (vllm#48421).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.gateway import free_port

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "vllm" / "bin" / "python"
START_S = 900
"""It takes half a minute, and beside other work many times that."""
END_S = 60
SETTINGS = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmPeer:
    """A running vLLM server."""

    url: str
    model: str
    key: str = field(repr=False)
    log: Path

    def client(self) -> httpx.Client:
        """An HTTP client of somebody else, to look and meddle behind our back."""
        return httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=600, trust_env=False
        )

    def names(self) -> set[str]:
        """What it lists."""
        with self.client() as client:
            return {model["id"] for model in client.get("/v1/models").json()["data"]}

    def forget(self, lora: str) -> None:
        """What a restart does to a LoRA."""
        with self.client() as client:
            client.post("/v1/unload_lora_adapter", json={"lora_name": lora}).raise_for_status()


@contextmanager
def run_vllm(base: Path, folder: Path, *, max_rank: int = 16, context_tokens: int = 512) -> Iterator[VllmPeer]:
    """A vLLM that serves `base` and loads LoRAs while it runs; its whole process group ends with the block."""
    peer = VllmPeer(url=f"http://127.0.0.1:{free_port()}", model="base-elsewhere", key="made-up", log=folder / "log")
    args = {
        "model": base,
        "served-model-name": peer.model,
        "api-key": peer.key,
        "host": "127.0.0.1",
        "port": peer.url.rpartition(":")[2],
        "dtype": "float32",
        "max-model-len": context_tokens,
        "max-num-seqs": 16,
        "max-loras": 4,
        "max-cpu-loras": 8,
        "max-lora-rank": max_rank,
        "worker-extension-cls": "radbridge_model_server.engines.vllm_cpu_lora.CpuLora",
    }
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--enable-lora", "--enforce-eager"]
    command += [f"--{key}={value}" for key, value in args.items()]
    with peer.log.open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | SETTINGS, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        _wait_ready(process, peer)
        yield peer
    finally:
        _end(process)


def _wait_ready(process: subprocess.Popen[bytes], peer: VllmPeer) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{peer.url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise AssertionError(f"vLLM didn't start:\n{peer.log.read_text()[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask politely, then end the group: its engine is a child that outlives a killed parent."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_S)
