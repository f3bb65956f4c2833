"""schemathesis, which nobody here wrote, asks our web wires for what their OpenAPI promises."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from radbridge_adapters import cdshooks, fhir
from tests.support.live import live, make_site

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SOME = r"^/(metadata|DiagnosticReport(/_search|/\$.*)?|Subscription)$"
"""Of the FHIR server's types, which share their code, one that is drafted from, and one with rules of its own."""


@pytest.mark.parametrize(
    ("document", "only", "examples"),
    [("fhir/openapi.json", SOME, 10), ("cds-services/openapi.json", ".", 15)],
    ids=["fhir", "cds-services"],
)
async def test_answers_are_what_openapi_says(tmp_path: Path, document: str, only: str, examples: int) -> None:
    """Whatever is sent: no 5xx, and only the statuses, content types and shapes that the document names."""
    async with live(make_site(tmp_path), fhir.wire, cdshooks.wire) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{gateway.base}/{document}"),
            *("--include-path-regex", only, "--max-examples", str(examples), "--phases", "coverage,fuzzing"),
            *("--request-timeout", "120", "--suppress-health-check", "too_slow"),
            *("--checks", CHECKS, "--seed", "1", "--no-color", "--generation-database", ":memory:"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert b"No failures" in said or b" passed" in said
