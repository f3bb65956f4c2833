"""What every test shares: a quiet offline environment, an order by folder, and patient limits for slow machines."""

from __future__ import annotations

import os

# Before any import of a library that reads them.
os.environ |= {
    "HF_HUB_OFFLINE": "1",  # no test may reach a model hub
    "HF_DATASETS_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # Ray reads it at its import, and a test's module may be the first to import it
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",  # two cores are shared with the servers under test
}

from pathlib import Path

import pytest
from hypothesis import settings

# The same seconds are long on a busy machine: a slow example is no failure.
settings.register_profile("radbridge", deadline=None, print_blob=True)
settings.load_profile("radbridge")

FOLDERS = ("unit", "contract", "integration", "acceptance")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run cheap folders first; side by side the dear ones, so that none is left alone at the end."""
    items.sort(key=lambda item: _rank(item.path), reverse="PYTEST_XDIST_WORKER" in os.environ)


def _rank(path: Path) -> int:
    return min((FOLDERS.index(part) for part in path.parts if part in FOLDERS), default=len(FOLDERS))
