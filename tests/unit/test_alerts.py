"""Alerts and dashboard: what they ask for is measured, and every alert says what it means and what to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry
from typer.main import get_command

from radbridge.cli.app import app
from radbridge.metrics import Metrics
from radbridge_model_server.drafts.metrics import EngineMetrics
from radbridge_model_server.drafts.metrics import Metrics as ModelMetrics
from radbridge_model_server.testing import EchoEngine

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"][0]["rules"]
NIGHTS = ("alerts_test.yaml", "alerts_days_test.yaml")
"""promtool's tests: by the minute, and what takes days by ten minutes, since each minute of a week takes its time."""
TESTS: list[dict[str, Any]] = [
    test for name in NIGHTS for test in yaml.safe_load((PROMETHEUS / name).read_text())["tests"]
]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "radbridge.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN = [target["expr"] for panel in PANELS for target in panel["targets"]]
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def samples(registry: CollectorRegistry) -> dict[str, tuple[str, str]]:
    """Every sample that a page may hold -> the family it is of, and its kind."""
    return {
        family.name + suffix: (family.name, family.type)
        for family in registry.collect()
        for suffix in SUFFIXES[family.type]
    }


def gateway_samples() -> dict[str, tuple[str, str]]:
    return samples(Metrics().registry)


def known() -> set[str]:
    """What a gateway and a model server export."""
    return {*gateway_samples(), *samples(ModelMetrics(EngineMetrics(EchoEngine())).registry)}


def selectors(expression: object) -> Iterator[str]:
    """The metrics that an expression reads."""
    if isinstance(expression, promql_parser.VectorSelector) and expression.name:
        yield expression.name
    for part in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from selectors(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from selectors(argument)


def read(expression: str) -> set[str]:
    """The metrics of an expression as Prometheus reads it. Raises ValueError for one that it can't read."""
    found = set(selectors(promql_parser.parse(expression.replace("$__rate_interval", "5m"))))
    assert found, expression
    return found


def anchors(page: str) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_what_is_read_is_seen() -> None:
    """The reader of expressions finds every metric, in whatever stands around it."""
    asked = "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m]))) / (b > 0) unless on (x) max(c{d='e'}) == -f"
    assert read(asked) == {"a_bucket", "b", "c", "f"}
    with pytest.raises(ValueError, match=r"."):
        read("sum(radbridge_dead")


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_can_fire_and_be_followed(rule: dict[str, Any]) -> None:
    """Its expression parses, its metrics exist, and it has a summary and a place in the night page."""
    assert read(rule["expr"]) <= known()
    assert rule["labels"]["severity"] in {"page", "warning"}
    assert rule["annotations"]["summary"].endswith((".", "}"))
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in anchors((ROOT / page).read_text())


def test_every_alert_is_tried() -> None:
    """`NIGHTS` have a night on which each alert fires, and one on which it doesn't."""
    names = {rule["alert"] for rule in RULES}
    tried = [(each["alertname"], bool(each.get("exp_alerts"))) for test in TESTS for each in test["alert_rule_test"]]
    assert {name for name, fires in tried if fires} == names
    assert {name for name, fires in tried if not fires} == names


def test_prometheus_agrees() -> None:
    """Prometheus's own tool runs `NIGHTS`. Debian: `apt-get install prometheus`."""
    tool = shutil.which("promtool")
    if tool is None and not os.environ.get("CI"):
        pytest.skip("promtool is not installed")
    assert tool, "promtool is not installed: apt-get install prometheus"
    ran = subprocess.run([tool, "test", "rules", *NIGHTS], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("expression", sorted(set(SHOWN)))
def test_a_panel_shows_something(expression: str) -> None:
    """Each expression of the dashboard parses and reads metrics that exist."""
    assert read(expression) <= known()


def test_every_metric_is_shown_or_watched() -> None:
    """What is measured is on the dashboard or in an alert; what nobody looks at isn't measured."""
    looked_at = {name for expression in (*SHOWN, *(rule["expr"] for rule in RULES)) for name in read(expression)}
    families = {family for family, _ in gateway_samples().values() if family.startswith("radbridge_")}
    seen = {family for name, (family, _) in gateway_samples().items() if name in looked_at}
    assert families - seen == set()


def test_panels_stand_beside_each_other() -> None:
    """No two panels lie over each other, none reaches beyond the page, and each has an id of its own."""
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not own & cells, panel["title"]
        cells |= own
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_what_the_night_page_says_to_do_can_be_done() -> None:
    """Every command and flag on the page is one of ours."""
    page = (ROOT / "docs" / "how-to" / "something-is-wrong-at-night.md").read_text()
    told = re.findall(r"(?<![\w/])radbridge ((?:[a-z-]+(?: |`|$))+)((?:.*?--[a-z-]+)*)", page, re.MULTILINE)
    assert len(told) > 15
    for words, flags in told:
        command: Any = get_command(app)
        for word in words.rstrip("` ").split():
            if not hasattr(command, "commands"):
                break  # arguments
            assert word in command.commands, words
            command = command.commands[word]
        known_flags = {name for parameter in command.params for name in parameter.opts}
        asked = flags.split("`")[0]
        assert set(re.findall(r"--[a-z-]+", asked)) <= known_flags, words
