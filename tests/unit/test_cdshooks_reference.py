"""docs/reference/cds-hooks.md: its example is a call that is understood."""

from __future__ import annotations

import json
import re
from pathlib import Path

from radbridge.config import Site
from radbridge.events import ReportDictated
from radbridge_adapters.cdshooks.hook import parse_request
from radbridge_adapters.cdshooks.services import REPORT_DRAFT, SERVICES
from radbridge_adapters.resources.snapshot import Snapshot
from radbridge_adapters.resources.translate import SnapshotTranslator

PAGE = (Path(__file__).parents[2] / "docs/reference/cds-hooks.md").read_text()


def test_the_example_is_a_report_in_progress() -> None:
    """It passes our own reading, names an accession, and has findings."""
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    request = parse_request(json.dumps(json.loads(example)).encode(), REPORT_DRAFT)
    (report,) = request.prefetched()
    (event,) = SnapshotTranslator.of(Site()).read(Snapshot(report))
    assert isinstance(event, ReportDictated)
    assert event.key.accession == "ACC900001"
    assert event.report.findings


def test_the_page_names_every_service() -> None:
    """Each id and hook of the table in the code is in the table on the page."""
    for service in SERVICES.values():
        assert f"| `{service.id}` | `{service.hook}`" in PAGE
