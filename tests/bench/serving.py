"""All serving benches, one after the other: `python -m tests.bench.serving [--quick] [--only swaps --only zipf]`.

Each runs in a process of its own; those with vLLM in the environment that `make test` makes for it. Their tables come
on standard output, everything together as `var/bench/serving.json`. The exit status is 1 when one of them failed; an
aim that isn't reached is told, and fails nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.serving_report import JSON_FOLDER

VLLM_PYTHON = Path(".venv/vllm/bin/python")
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore",
    "TQDM_DISABLE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """One module of this folder."""

    module: str
    about: str
    needs_vllm: bool = True


BENCHES = {
    "mixed": Bench(module="serving_mixed", about="8 LoRAs in one batch against set_adapter", needs_vllm=False),
    "swaps": Bench(module="serving_swaps", about="alias swaps under load: drafts by a wrong version"),
    "zipf": Bench(module="serving_zipf", about="64 LoRAs against the base alone, ours and vLLM bare"),
    "overhead": Bench(module="serving_overhead", about="Ray Serve and RadBridge against AsyncLLM bare"),
    "prefetch": Bench(module="serving_prefetch", about="the first draft, LoRA loaded ahead or not"),
    "memory": Bench(module="serving_memory", about="resident memory after load/retire cycles"),
    "picture": Bench(module="serving_picture", about="drafts/s by number of LoRAs"),
    "injection": Bench(module="injection", about="sentences that give orders", needs_vllm=False),
}


def run_bench(name: str, *, quick: bool) -> bool:
    """Whether it came to its end."""
    bench = BENCHES[name]
    python = str(VLLM_PYTHON) if bench.needs_vllm else sys.executable
    if bench.needs_vllm and not VLLM_PYTHON.exists():
        sys.stderr.write(f"{name}: there is no vLLM; `make test-vllm` installs its CPU build\n")
        return False
    sys.stderr.write(f"{name}: {bench.about}\n")
    began = time.monotonic()
    command = [python, "-m", f"tests.bench.{bench.module}", *(["--quick"] if quick else [])]
    status = subprocess.run(command, env={**os.environ, **_ENVIRONMENT}, check=False).returncode
    sys.stderr.write(f"{name}: {'done' if status == 0 else f'FAILED ({status})'} in {time.monotonic() - began:.0f} s\n")
    return status == 0


def main() -> int:
    """Run them; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small variants: they show that it runs, not how fast")
    parser.add_argument("--only", action="append", choices=BENCHES, help="may be given several times")
    args = parser.parse_args()
    chosen = args.only or list(BENCHES)
    done = {name: run_bench(name, quick=args.quick) for name in chosen}
    files = {name: JSON_FOLDER / f"serving_{name}.json" for name, is_done in done.items() if is_done}
    JSON_FOLDER.mkdir(parents=True, exist_ok=True)
    together = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}
    (JSON_FOLDER / "serving.json").write_text(json.dumps(together, indent=1) + "\n", encoding="utf-8")
    return 0 if all(done.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
