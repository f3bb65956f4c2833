"""What the driver of a turn makes of what workers and gate tell it. Both are stood in for: each takes a minute."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from radbridge.audit import What
from radbridge.cli.common import account
from radbridge.config import load_site
from radbridge.errors import ConfigError, ModelUnavailable
from radbridge.journal import audit, lora_events
from radbridge.journal.schema import LoraAction
from radbridge.registry import LoraRegistry
from radbridge_training.gate.judge import Finding, Verdict
from radbridge_training.turn import driver, folder
from radbridge_training.turn.driver import run_turn
from radbridge_training.turn.folder import Turn, list_turns
from radbridge_training.turn.job import Job, Outcome, State
from radbridge_training.turn.publishing import Publisher
from radbridge_training.turn.steps import run_steps
from radbridge_training.turn.training import REINFORCE
from radbridge_training.turn.workshop import open_workshop
from radbridge_training.turn_recipe import TurnRecipe
from tests.support.killed_steps import Copying
from tests.support.registry import trained
from tests.support.signed_reports import sign_reports, write_site

RECIPE = TurnRecipe.model_validate({"gate": {"least_later": 4}})


class Weights(Copying):
    """The last step: it leaves weights."""

    def run(self, job: Job, into: Path, tell: Any) -> dict[str, Any]:
        into.rmdir()
        trained(into, job.owner.owner.encode())
        return {}


def work(jobs: Sequence[Job], **how: Any) -> Iterator[Outcome]:
    """Workers whose weights say whose they are."""
    for job in jobs:
        yield run_steps(job, [Weights(name=REINFORCE)], lambda *so_far: None)


def verdict(job: Job, failed: str = "") -> Verdict:
    findings = (Finding(rule=failed, passed=False, told="0.400, at most 0.100"),) if failed else ()
    return Verdict(owner=job.owner.owner, passed=not failed, findings=findings, reports=4, seed=0)


def judge(told: dict[str, str | Outcome]) -> Callable[..., Iterator[tuple[Job, Verdict | Outcome]]]:
    """A gate that lets everybody pass but those for whom a failed rule, or an outcome, is told."""

    def gate(jobs: Sequence[Job], *rest: Any, **how: Any) -> Iterator[tuple[Job, Verdict | Outcome]]:
        for job in jobs:
            said = told.get(job.owner.owner, "")
            yield job, said if isinstance(said, Outcome) else verdict(job, said)

    return gate


def fail(error: BaseException) -> Callable[..., Any]:
    """Something that never comes to its end."""

    def raise_it(*what: Any, **how: Any) -> None:
        raise error

    return raise_it


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three radiologists, none of whom has weights yet."""
    file = tmp_path_factory.mktemp("journal") / "radbridge.db"
    sign_reports(f"sqlite:///{file}", people=3, reports=16)
    return file


@pytest.fixture
def site(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site with a journal of its own, which begins like the others'."""
    with sqlite3.connect(journal) as theirs, sqlite3.connect(tmp_path / journal.name) as own:
        theirs.backup(own)
    own.close()
    theirs.close()
    monkeypatch.setattr(driver, "try_base", lambda base, load: None)
    monkeypatch.setattr(driver, "run_jobs", work)
    monkeypatch.setattr(driver, "gate_jobs", judge({}))
    return write_site(tmp_path, least_reports=16, least_new=4)


def turn_at(site: Path, only: Sequence[str] = (), *, fresh: bool = False) -> Turn:
    with open_workshop(load_site(site)) as shop:
        return run_turn(shop, RECIPE, Console(quiet=True), only=only, fresh=fresh)


def break_off(site: Path, monkeypatch: pytest.MonkeyPatch, only: Sequence[str] = ()) -> None:
    """A turn is killed while its workers train; the clock goes on."""
    with monkeypatch.context() as patch:
        patch.setattr(driver, "run_jobs", fail(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            turn_at(site, only)
    wait(monkeypatch)


def wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next turn begins a day later."""
    begin = folder.begin
    monkeypatch.setattr(
        folder, "begin", lambda path, told: begin(path, replace(told, began=told.began + timedelta(days=1)))
    )


def outcomes(turn: Turn) -> dict[str, tuple[State, str]]:
    found = [outcome for owner in turn.told.owners if (outcome := turn.outcome(owner.owner))]
    return {o.owner: (o.state, o.reason) for o in found}


def events(site: Path, owner: str) -> list[tuple[LoraAction, str]]:
    with open_workshop(load_site(site)) as shop, shop.stores.connect() as conn:
        return [(event.action, event.reason) for event in lora_events.of_owner(conn, owner)]


def test_each_comes_to_an_end_of_their_own(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who passes is published and on trial, who doesn't isn't; what broke for one leaves the others alone."""
    broken = Outcome(owner="rad/1003", state=State.FAILED, reason="disk full", step="5-gate")
    monkeypatch.setattr(driver, "gate_jobs", judge({"rad/1002": "bland", "rad/1003": broken}))
    turn = turn_at(site)
    assert outcomes(turn) == {
        "rad/1001": (State.PUBLISHED, "challenged"),
        "rad/1002": (State.REFUSED, "bland: 0.400, at most 0.100"),
        "rad/1003": (State.FAILED, "disk full"),
    }
    registry = LoraRegistry(site.parent / "loras")
    assert registry.owners() == ["rad/1001"]
    assert registry.alias_names("rad/1001").challenger
    assert events(site, "rad/1002") == [(LoraAction.GATED, "bland: 0.400, at most 0.100")]
    assert turn.told.ended
    assert not list(turn.folder.rglob("*.jsonl"))


def test_nobody_is_trained_twice_on_the_same(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next turn, without a new report, has only those to do for whom the last one broke down."""
    broken = Outcome(owner="rad/1003", state=State.FAILED, reason="disk full")
    monkeypatch.setattr(driver, "gate_jobs", judge({"rad/1002": "bland", "rad/1003": broken}))
    turn_at(site)
    wait(monkeypatch)
    assert [owner.owner for owner in turn_at(site).told.owners] == ["rad/1003"]


def test_without_a_model_server(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that gets no server publishes nothing; the next run goes on there, and trains nobody again."""
    monkeypatch.setattr(driver, "gate_jobs", fail(ModelUnavailable()))
    with pytest.raises(ModelUnavailable):
        turn_at(site)
    (turn,) = list_turns(site.parent / "turns")
    assert (turn.told.ended, outcomes(turn)) == (None, {})
    marks = {path: path.read_bytes() for path in turn.folder.rglob("done.json")}
    monkeypatch.setattr(driver, "gate_jobs", judge({}))
    assert {state for state, _ in outcomes(turn_at(site)).values()} == {State.PUBLISHED}
    assert {path: path.read_bytes() for path in turn.folder.rglob("done.json")} == marks


def test_killed_between_flip_and_outcome(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that dies when an alias has been flipped publishes no second version, and records nothing twice."""
    serve = Publisher.serve

    def die(self: Publisher, *what: Any, **how: Any) -> None:
        serve(self, *what, **how)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "serve", die)
        with pytest.raises(KeyboardInterrupt):
            turn_at(site)
    assert set(outcomes(turn_at(site)).values()) == {(State.PUBLISHED, "challenged")}
    registry = LoraRegistry(site.parent / "loras")
    assert [len(registry.versions(owner)) for owner in registry.owners()] == [1, 1, 1]
    assert [action for action, _ in events(site, "rad/1001")] == [LoraAction.PUBLISHED, LoraAction.CHALLENGED]


def test_consent_is_asked_again(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who said no while a turn was broken off isn't published for, and their rows go."""
    break_off(site, monkeypatch)
    site.write_text(site.read_text() + 'radiologists = ["1002"]\n')
    turn = turn_at(site)
    assert outcomes(turn)["rad/1002"] == (State.SKIPPED, "no consent")
    assert [path.name for path in turn.home("rad/1002").iterdir()] == ["outcome.json"]
    assert LoraRegistry(site.parent / "loras").owners() == ["rad/1001", "rad/1003"]


def test_a_turn_for_others_is_not_lost(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a turn that was broken off nobody else's begins: it is brought to its end, or given up, which is told."""
    break_off(site, monkeypatch)
    with pytest.raises(ConfigError, match="a turn for everybody is broken off at 0 of 3; bring it to its end"):
        turn_at(site, ["1001"])
    (left,) = list_turns(site.parent / "turns")
    assert left.told.ended is None
    with capture_logs() as said:
        turn = turn_at(site, ["1001"], fresh=True)
    assert list(outcomes(turn)) == ["rad/1001"]
    (line,) = [line for line in said if line["event"] == "turn given up"]
    assert (line["where"], line["count"], line["limit"]) == (left.folder.name, 0, 3)


def test_a_turn_for_one_goes_on_before_that_for_all(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for everybody's finishes the one that was broken off, and then has everybody's."""
    break_off(site, monkeypatch, ["1002", "1002"])
    turn = turn_at(site)
    newest, first = list_turns(site.parent / "turns")
    assert (newest, newest.told.only) == (turn, ())
    assert (list(outcomes(first)), first.told.only) == (["rad/1002"], ("1002",))
    assert list(outcomes(turn)) == ["rad/1001", "rad/1003"]


def test_a_name_that_nobody_has(site: Path) -> None:
    """A turn for somebody of whom there is nothing doesn't begin."""
    with pytest.raises(ConfigError, match="no report of 9999 is remembered"):
        turn_at(site, ["9999"])
    assert not list((site.parent / "turns").glob("*T*"))


def test_what_the_driver_does_is_told(site: Path) -> None:
    """A line for each radiologist's rows: without a terminal nothing else says that a turn goes on."""
    with capture_logs() as said:
        turn_at(site)
    told = [(line["owner"], line["step"]) for line in said if line["event"] == "step done"]
    assert told == [(f"rad/{number}", "1-examples") for number in (1001, 1002, 1003)]


def test_what_a_turn_reads_is_noted(site: Path) -> None:
    """Whose reports are learned from, and of how many cases the gate reads names and numbers, is in the trail."""
    turn_at(site)
    with open_workshop(load_site(site)) as shop, shop.stores.begin() as conn:
        audit.chain_pending(conn)
        notes = [event.note for event in audit.chained(conn)]
    read = [note for note in notes if note.detail.get("command") == "train run" and note.actor == account()]
    personas, *learned, _, _, _ = [(note.what, dict(note.detail)) for note in read]
    assert personas[1] == {"command": "train run", "step": "personas", "radiologists": "3", "reports": "48"}
    assert [(what, told["radiologist"], told["reports"]) for what, told in learned] == [
        (What.EXPORTED, id, "16") for id in ("1001", "1002", "1003")
    ]
    judged = [note.detail for note in read if note.detail.get("step") == "gate"]
    assert [told["radiologist"] for told in judged] == ["1001", "1002", "1003"]
    assert all(int(told["cases"]) > 0 for told in judged)
