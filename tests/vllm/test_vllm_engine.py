"""The promises of every `Engine`, kept by the real vLLM."""

from __future__ import annotations

import pytest

from tests.contract.engine_suite import *  # noqa: F403 - every test of the suite

pytestmark = pytest.mark.asyncio(loop_scope="session")
