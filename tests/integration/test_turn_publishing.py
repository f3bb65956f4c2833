"""What passed the gate becomes a version, and what a site is told before that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbridge.cli.app import app as radbridge
from radbridge.config import Trial, load_site
from radbridge.errors import ConfigError
from radbridge.journal import learning, lora_events, memory, secrets, sources
from radbridge.journal.schema import LoraAction
from radbridge.journal.sources import Mark
from radbridge.journal.stores import Stores, open_store
from radbridge.learning import EXAMPLE, SHOWN, Ways
from radbridge.registry import LoraRegistry, LoraVersion, digest_weights
from radbridge_training.cli.steps import settle_out
from radbridge_training.rows import load_rows
from radbridge_training.serving import Serving
from radbridge_training.turn.done import Done, write_done
from radbridge_training.turn.folder import Told, begin
from radbridge_training.turn.job import Outcome, Owner, State
from radbridge_training.turn.marked import settle_marked
from radbridge_training.turn.publishing import Lineage, Publisher
from radbridge_training.turn.workshop import Workshop
from tests.support.registry import publish_rivals, trained
from tests.support.signed_reports import BEGAN, sign_reports, write_site
from tests.support.train import run_train

OWNER = "rad/1001"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site where one radiologist has signed 24 reports."""
    folder = tmp_path_factory.mktemp("site")
    sign_reports(f"sqlite:///{folder}/radbridge.db", people=1, reports=24)
    return write_site(folder, least_reports=20)


@pytest.fixture
def stores(site: Path) -> Iterator[Stores]:
    made = open_store(f"sqlite:///{site.parent}/radbridge.db")
    yield made
    made.dispose()


def secret_of(stores: Stores) -> bytes:
    with stores.connect() as conn:
        return secrets.read(conn, secrets.PSEUDONYMS)


def lineage_of(stores: Stores, count: int) -> Lineage:
    """Of the first so many reports."""
    with stores.connect() as conn:
        reports = learning.read_reports(conn, secret=secret_of(stores), radiologist="1001", consent=lambda _: True)
    ids = [report.id for report in reports[:count]]
    return Lineage(base_digest="b" * 64, prompt_version="p2", ids=ids, trained={"upto": count})


def actions(stores: Stores, version: str) -> list[LoraAction]:
    with stores.connect() as conn:
        return [e.action for e in lora_events.of_owner(conn, OWNER) if e.version == version]


def run(site: Path, *words: str) -> tuple[int, str]:
    """A command of `radbridge train` at the site."""
    return run_train(*words, "--config", str(site))


def test_published_once(stores: Stores, tmp_path: Path) -> None:
    """A version tells what days it learned from, the journal which cases; done again it changes nothing."""
    registry = LoraRegistry(tmp_path / "loras")
    publisher = Publisher(registry, stores, secret=secret_of(stores))
    weights, lineage = trained(tmp_path / "weights"), lineage_of(stores, 8)
    for _ in range(2):
        version = publisher.publish(weights, OWNER, lineage, reason="passed")
        assert publisher.serve(version, Trial(), reason="passed") is LoraAction.CHALLENGED
    assert [v.name for v in registry.versions(OWNER)] == [version.name]
    assert registry.alias_names(OWNER).challenger == version.folder
    assert actions(stores, version.name) == [LoraAction.PUBLISHED, LoraAction.CHALLENGED]
    manifest = json.loads((version.path / "manifest.json").read_text())
    assert (manifest["data_from"], manifest["data_to"]) == ("2026-03-01", "2026-03-01")
    assert manifest["trained"] == {"upto": 8, "examples_sha256": lineage.digest}
    with stores.connect() as conn:
        keys = learning.keys_of(conn, lineage.ids, secret=secret_of(stores))
        assert version.name in sources.trained_on(conn, keys[:1])


def test_taken_back_stays_so(stores: Stores, tmp_path: Path) -> None:
    """A turn that goes on after its version was rolled back doesn't put it in service again."""
    registry = LoraRegistry(tmp_path / "loras")
    publisher = Publisher(registry, stores, secret=secret_of(stores))
    version = publisher.publish(trained(tmp_path / "w", b"other"), OWNER, lineage_of(stores, 4), reason="passed")
    assert publisher.serve(version, Trial(mode="none"), reason="passed") is LoraAction.PROMOTED
    registry.retire(OWNER)
    publisher.serve(version, Trial(mode="none"), reason="passed")
    assert registry.champion(OWNER) is None


def test_withdrawn_while_it_was_trained(stores: Stores, tmp_path: Path) -> None:
    """Weights that learned from a report which was withdrawn meanwhile are marked, and draft for nobody."""
    registry = LoraRegistry(tmp_path / "loras")
    publisher = Publisher(registry, stores, secret=secret_of(stores))
    lineage = lineage_of(stores, 24)
    with stores.begin() as conn:
        (key,) = learning.keys_of(conn, list(lineage.ids)[-1:], secret=secret_of(stores))
        memory.forget(conn, key)
    version = publisher.publish(trained(tmp_path / "w", b"third"), OWNER, lineage, reason="passed")
    assert publisher.serve(version, Trial(), reason="passed") is None
    assert registry.alias_names(OWNER).challenger == ""
    with stores.connect() as conn:
        assert version.name in sources.marked(conn)


def mark(stores: Stores, version: LoraVersion) -> None:
    with stores.begin() as conn:
        sources.mark(conn, [version.name], Mark(at=BEGAN, actor="somebody", reason="a patient withdrew"))


@pytest.mark.parametrize(
    ("state", "serves"),
    [(None, True), (State.FAILED, True), (State.REFUSED, False), (State.SKIPPED, False), ("not asked", False)],
)
def test_marked_weights_go(site: Path, stores: Stores, tmp_path: Path, state: State | str | None, serves: bool) -> None:
    """A marked champion drafts on only while its replacement is trained; a marked challenger is on trial no more."""
    registry = LoraRegistry(tmp_path / "loras")
    champion, challenger = publish_rivals(registry, tmp_path)
    mark(stores, champion)
    mark(stores, challenger)
    part = Owner(radiologist="900001", owner=champion.owner, reports=60, new=0, marked=True)
    told = Told(began=BEGAN, recipe="r", base="b", owners=() if state == "not asked" else (part,))
    turn = begin(tmp_path / "turns", told)
    if isinstance(state, State):
        turn.put_outcome(Outcome(owner=champion.owner, state=state))
    shop = Workshop(
        site=load_site(site),
        serving=Serving(base=tmp_path, digest="b" * 64, ways=Ways()),
        registry=registry,
        stores=stores,
        secret=b"secret",
    )
    for _ in range(2):
        settle_marked(shop, turn)
        names = registry.alias_names(champion.owner)
        assert (names.challenger, bool(names.champion)) == ("", serves)


def test_replaces_marked_weights_at_once(stores: Stores, tmp_path: Path) -> None:
    """What takes the place of weights that must go is not tried beside them."""
    registry = LoraRegistry(tmp_path / "loras")
    publisher = Publisher(registry, stores, secret=secret_of(stores))
    version = publisher.publish(trained(tmp_path / "w", b"fourth"), OWNER, lineage_of(stores, 2), reason="passed")
    assert publisher.serve(version, Trial(), reason="passed", at_once=True) is LoraAction.PROMOTED
    assert registry.alias_names(OWNER).champion == version.folder


def test_rows_in_files(site: Path, tmp_path: Path) -> None:
    """`train examples` writes what would be learned and judged by, the two of different patients and times."""
    recipe = tmp_path / "turn.yaml"
    recipe.write_text("gate: {least_later: 4}")
    status, said = run(site, "examples", "--out", str(tmp_path), "--recipe", str(recipe))
    assert (status, "rad/1001 2" in said) == (0, True), said
    rows = tmp_path / "rad" / "1001" / "1-examples"
    learned = {e.id.partition("/")[0] for e in load_rows(rows / "learn.jsonl", EXAMPLE)} - {"canary"}
    later = [s.report for s in load_rows(rows / "later.jsonl", SHOWN)]
    dev = [s.report for s in load_rows(rows / "dev.jsonl", SHOWN)]
    assert learned
    assert learned.isdisjoint(r.id for r in (*later, *dev))
    assert max(r.order for r in dev) < min(r.order for r in later)


def test_nothing_passes_without_a_verdict(site: Path, tmp_path: Path) -> None:
    """Only weights that the gate let pass are published, those very ones; others by force, with a reason."""
    weights, rows = trained(tmp_path / "2-sft"), tmp_path / "1-examples"
    rows.mkdir()
    (rows / "reports.jsonl").write_text("")
    words = ("publish", "--folder", str(weights), "--owner", OWNER)
    assert "run `radbridge train gate`, or add --force" in run(site, *words)[1]
    gate = tmp_path / "5-gate"
    gate.mkdir()
    told = {"passed": False, "reason": "bland: 0.400, at most 0.100", "candidate": digest_weights(weights)}
    write_done(gate, Done(step="5-gate", inputs="", seconds=1, told=told))
    assert "the gate said no: bland" in run(site, *words)[1]
    write_done(gate, Done(step="5-gate", inputs="", seconds=1, told=told | {"passed": True, "candidate": "0" * 64}))
    assert "about other weights" in run(site, *words)[1]
    write_done(gate, Done(step="5-gate", inputs="", seconds=1, told=told | {"passed": True}))
    status, said = run(site, *words)
    assert (status, "rad/1001@v1-" in said) == (0, True), said
    assert run(site, *words, "--force") == (2, "config: --force: say why with --reason")
    assert run(site, *words, "--force", "--reason", "a drill")[0] == 0


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    """A folder that holds anything but an earlier result is never written over."""
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(ConfigError, match="holds other files"):
        settle_out(tmp_path)
    assert settle_out(tmp_path / "new") == (tmp_path / "new").resolve()
    assert settle_out(trained(tmp_path / "sft")) == (tmp_path / "sft").resolve()


def test_whom_it_would_train_for(site: Path) -> None:
    """`train run --dry-run` says it and touches nothing."""
    status, said = run(site, "run", "--dry-run")
    assert (status, "rad/1001 would be trained" in said) == (0, True), said
    assert not (site.parent / "turns").exists()


def test_a_site_that_cannot_train(tmp_path: Path) -> None:
    """What is missing is told before anything begins."""
    path = tmp_path / "site.toml"
    path.write_text("[memory]\nenabled = false\n")
    status, said = run(path, "run")
    assert status == 2
    assert "memory.enabled" in said
    assert "training.registry" in said


def test_a_broken_base(site: Path, tmp_path: Path) -> None:
    """A base whose files aren't those that its manifest names is told before anything is touched."""
    base = tmp_path / "base"
    base.mkdir()
    for name, text in {
        "config.json": "{}",
        "tokenizer.json": "{}",
        "manifest.json": '{"digest": "%s"}' % ("0" * 64),
    }.items():
        (base / name).write_text(text)
    (base / "model.safetensors").write_bytes(b"")
    path = tmp_path / "site.toml"
    path.write_text(site.read_text().replace("[model]", f'[model]\nbase = "{base}"'))
    status, said = run(path, "run")
    assert (status, "aren't those its manifest names" in said) == (2, True), said


def test_the_command_stands_in_the_tree() -> None:
    """`radbridge train` lists every step."""
    said = CliRunner().invoke(radbridge, ["train", "--help"]).output
    for word in ("run", "status", "examples", "sft", "prefer", "reinforce", "reward", "gate", "publish"):
        assert f" {word} " in said
