"""The metrics page: everything on it is measured by somebody, and says nothing that came over a wire."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from prometheus_client.metrics import MetricWrapperBase

from radbridge.meter import JournalMeter, WireMeter
from radbridge.metrics import Metrics
from radbridge_adapters.security.tls import expires_at
from tests.support.certificates import Authority

ROOT = Path(__file__).parents[2]
LABELS = frozenset(
    "wire kind outcome destination queue stage action phase decision reason part".split(),
)
"""What a label may be called: its values are words of ours, or names of the site's file."""


@cache
def named() -> frozenset[str]:
    """Every attribute that is used outside the metrics themselves."""
    texts = [
        path.read_text()
        for room in ("src", "adapters")
        for path in (ROOT / room).rglob("*.py")
        if path.name not in {"metrics.py", "meter.py"}
    ]
    return frozenset(name for text in texts for name in re.findall(r"\.(\w+)", text))


def told_by() -> dict[str, str]:
    """Metric -> the method of a meter that feeds it."""
    found: dict[str, str] = {}
    for meter in (WireMeter, JournalMeter):
        for name, _ in inspect.getmembers(meter, inspect.isfunction):
            if not name.startswith("_"):
                body = ast.parse(textwrap.dedent(inspect.getsource(getattr(Metrics, name))))
                found |= {node.attr: name for node in ast.walk(body) if isinstance(node, ast.Attribute)}
    return found


def test_every_metric_is_fed() -> None:
    """No metric is only a name: somebody sets it, or a method of a meter does that somebody calls."""
    feeders = told_by()
    metrics = {name for name, value in vars(Metrics()).items() if isinstance(value, MetricWrapperBase)}
    assert len(metrics) > 40
    assert {name for name in metrics if name not in named() and feeders.get(name) not in named()} == set()


def test_labels_are_words() -> None:
    """Nobody can name a label after something that identifies a patient."""
    for value in vars(Metrics()).values():
        if isinstance(value, MetricWrapperBase):
            assert set(value._labelnames) <= LABELS, value  # noqa: SLF001 - prometheus-client shows it nowhere else


def test_the_process_is_measured() -> None:
    """Memory, processor time and open files of the gateway are on the page."""
    page = Metrics().page().decode()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
        assert f"\n{name} " in page


def test_a_certificates_end(tmp_path: Path) -> None:
    """The page says how long a certificate is still valid, as its file is then; one that is gone has ended."""
    pem = Authority(tmp_path).issue("server")
    ends = x509.load_pem_x509_certificate(pem.read_bytes()).not_valid_after_utc
    assert expires_at(pem) == ends
    metrics = Metrics()
    metrics.expires("http", lambda: expires_at(pem))

    def left() -> timedelta:
        name, labels = "radbridge_certificate_expiry_seconds", {"wire": "http"}
        return timedelta(seconds=metrics.registry.get_sample_value(name, labels) or 0)

    before, told, after = datetime.now(UTC), left(), datetime.now(UTC)
    assert ends - after - timedelta(seconds=1) < told < ends - before + timedelta(seconds=1)
    pem.write_bytes(b"no certificate")
    assert left() == timedelta()
    pem.unlink()
    assert left() == timedelta()
    assert b"radbridge_journal_up" in metrics.page()
