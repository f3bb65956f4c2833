"""Whom a turn trains for, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from radbridge.case import CaseKey
from radbridge.config import Model, Site, Training
from radbridge.errors import ConfigError, NothingToLearn
from radbridge.journal import memory, sources
from radbridge.journal.sources import Mark
from radbridge.journal.stores import Stores, open_store
from radbridge.learning import PreferenceExample, TrainingReport, Use, Ways
from radbridge.memory import Remembered
from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_training.recipe import load_recipe
from radbridge_training.serving import Serving
from radbridge_training.synth import generate_reports
from radbridge_training.turn import folder
from radbridge_training.turn.checking import check_examples, check_reports
from radbridge_training.turn.done import Done, write_done
from radbridge_training.turn.examples import EXAMPLES
from radbridge_training.turn.folder import OUTCOME, Told, Turn, find_open, list_turns
from radbridge_training.turn.job import Outcome, Owner, State
from radbridge_training.turn.lock import TurnRuns, alone
from radbridge_training.turn.plan import Before, Skip, find_canary_share, plan_turn
from radbridge_training.turn.ready import check_room
from radbridge_training.turn.workshop import read_looked
from radbridge_training.turn_recipe import TurnRecipe
from tests.support.registry import trained
from tests.support.signed_reports import sign

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
AT = datetime(2026, 3, 1, tzinfo=UTC)
BASE = "b" * 64
BEFORE = Before(base_digest=BASE, looked_upto={})
RULES = Training(least_reports=4, least_new=2)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = open_store(f"sqlite:///{tmp_path}/radbridge.db")
    yield made
    made.dispose()


def remember(stores: Stores, radiologist: str, count: int) -> None:
    """So many reports of a radiologist."""
    with stores.begin() as conn:
        for place in range(memory.count(conn), memory.count(conn) + count):
            memory.expect(conn, CaseKey(accession=f"A{place}"), signer=radiologist, signed_at=AT)
            (expected,) = memory.waiting(conn, 1)
            report = Remembered(number=expected.number, signer=radiologist, findings="Clear.", impression="Normal.")
            memory.keep(conn, [report])


def serve(registry: LoraRegistry, work: Path, *, upto: int | None, base: str = BASE) -> LoraVersion:
    """A champion of 1001's that has learned from the reports up to an order; None: it doesn't say."""
    told = {} if upto is None else {"upto": upto}
    weights = trained(work / "weights")
    version = registry.publish(weights, "rad/1001", base_digest=base, prompt_version="p2", trained=told)
    registry.promote(version)
    return version


def plan(stores: Stores, registry: LoraRegistry, rules: Training = RULES, before: Before = BEFORE) -> list[Owner | str]:
    """Who is trained for, or the reason why not."""
    with stores.connect() as conn:
        owners, skips = plan_turn(conn, registry, rules, before)
    return [*owners, *(skip.reason for skip in skips)]


def test_who_has_enough(stores: Stores, tmp_path: Path) -> None:
    """Who has signed enough is trained for; of who hasn't it is told how many there are, and how many it takes."""
    remember(stores, "1001", 4)
    remember(stores, "1002", 3)
    owner, reason = plan(stores, LoraRegistry(tmp_path))
    assert isinstance(owner, Owner)
    assert (owner.owner, owner.reports, owner.new, owner.parent, owner.marked) == ("rad/1001", 4, 4, "", False)
    assert reason == "too few reports (3 of 4)"


@pytest.mark.parametrize(
    ("rules", "asked"), [({"consent": "opt_out", "radiologists": ("1001",)}, 1), ({"consent": "opt_in"}, 2)]
)
def test_consent(stores: Stores, tmp_path: Path, rules: dict[str, object], asked: int) -> None:
    """Nobody is trained for who said no, or who hasn't said yes where that is asked."""
    remember(stores, "1001", 4)
    remember(stores, "1002", 4)
    settings = Training.model_validate(RULES.model_dump() | rules)
    assert plan(stores, LoraRegistry(tmp_path), settings).count("no consent") == asked


def test_only_new_reports_count(stores: Stores, tmp_path: Path) -> None:
    """What the champion has learned from, or a turn has looked at, isn't new; training goes on from the champion."""
    registry = LoraRegistry(tmp_path / "loras")
    champion = serve(registry, tmp_path, upto=4)
    remember(stores, "1001", 5)
    assert plan(stores, registry) == ["too few new reports (1 of 2)"]
    remember(stores, "1001", 1)
    (owner,) = plan(stores, registry)
    assert isinstance(owner, Owner)
    assert (owner.new, owner.parent, owner.upto) == (2, champion.name, 4)
    assert plan(stores, registry, before=Before(base_digest=BASE, looked_upto={"rad/1001": 5})) == [
        "too few new reports (1 of 2)"
    ]


@pytest.mark.parametrize(("upto", "base"), [(0, "c" * 64), (None, BASE)])
def test_a_champion_that_is_left(stores: Stores, tmp_path: Path, upto: int | None, base: str) -> None:
    """Nobody's training goes on from weights for another base, or from some that don't say what they learned."""
    registry = LoraRegistry(tmp_path / "loras")
    serve(registry, tmp_path, upto=upto, base=base)
    remember(stores, "1001", 4)
    (owner,) = plan(stores, registry)
    assert isinstance(owner, Owner)
    assert owner.parent == ""


def test_marked_is_trained_anew(stores: Stores, tmp_path: Path) -> None:
    """After a withdrawal everything is learned anew, from the base, however few new reports there are."""
    registry = LoraRegistry(tmp_path / "loras")
    champion = serve(registry, tmp_path, upto=4)
    remember(stores, "1001", 4)
    with stores.begin() as conn:
        sources.mark(conn, [champion.name], Mark(at=AT, actor="somebody", reason="a patient withdrew"))
    (owner,) = plan(stores, registry)
    assert isinstance(owner, Owner)
    assert (owner.marked, owner.parent, owner.upto) == (True, "", 0)


@pytest.mark.parametrize("trials", [True, False])
def test_a_trial_is_not_cut_short(stores: Stores, tmp_path: Path, trials: bool) -> None:
    """Nothing newer is trained while a version is on trial, unless no challenger ever drafts here."""
    registry = LoraRegistry(tmp_path / "loras")
    version = registry.publish(trained(tmp_path / "w"), "rad/1001", base_digest=BASE, prompt_version="p2")
    registry.challenge(version)
    remember(stores, "1001", 4)
    found = plan(stores, registry, before=Before(base_digest=BASE, looked_upto={}, trials=trials))
    assert (found == ["a version of theirs is on trial"]) is trials


def test_a_trial_that_can_be_seen(stores: Stores, tmp_path: Path) -> None:
    """Where nobody knows whether challengers write, one that has written of late isn't cut short; others are."""
    registry = LoraRegistry(tmp_path / "loras")
    version = registry.publish(trained(tmp_path / "w"), "rad/1001", base_digest=BASE, prompt_version="p2")
    registry.challenge(version)
    reports = list(generate_reports(3, 4 + RULES.least_new))
    sign(stores, "1001", reports[:4], asked=version.name)
    assert plan(stores, registry) == ["a version of theirs is on trial"]
    sign(stores, "1001", reports[4:], asked="base")
    assert [type(found) for found in plan(stores, registry)] == [Owner]


@pytest.mark.parametrize(
    ("url", "settings", "share"),
    [
        ("embedded", {"lifecycle": {"canary_share": 0.25}}, 0.25),
        ("embedded", {}, 0.0),
        ("http://drafts.example", {"lifecycle": {"canary_share": 0.25}}, None),
    ],
)
def test_whose_share_is_known(url: str, settings: dict[str, object], share: float | None) -> None:
    """How much challengers write stands in the settings of the model server that a site runs or names."""
    serving = Serving(base=Path(), digest=BASE, ways=Ways(), settings=settings)
    assert find_canary_share(Site(model=Model(url=url)), serving) == share
    named = Site(model=Model(url=url), training=Training(server=Path("server.yaml")))
    assert find_canary_share(named, serving) == (0.25 if settings else 0.0)


def test_nobody_by_that_name(stores: Stores, tmp_path: Path) -> None:
    """Who asks for somebody of whom nothing is remembered has mistyped, and is told the name."""
    remember(stores, "1001", 4)
    with (
        stores.connect() as conn,
        pytest.raises(ConfigError, match="--only: no report of 9999 is remembered"),
    ):
        plan_turn(conn, LoraRegistry(tmp_path), RULES, BEFORE, only=("1001", "9999"))


def report(place: int, signed: str, **more: object) -> TrainingReport:
    told: dict[str, object] = {
        "id": f"{place:016x}",
        "order": place,
        "radiologist": "1001",
        "patient": f"{place}",
        "findings": f"There is a {place} mm nodule.",
        "signed": signed,
    }
    return TrainingReport(**{**told, **more})  # type: ignore[arg-type]  # values of any field


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("other_language", "another language"),
        ("empty", "most impressions are empty"),
        ("boilerplate", "most impressions are empty"),
        ("near_duplicate", "all impressions are alike"),
    ],
)
def test_rules_that_take_most_away(why: str, reason: str) -> None:
    """Where rules take more than half of the reports away, and leave too few, the reason says what they are like."""
    good = [report(n, f"A {n} mm nodule.") for n in range(4)]
    check_reports([*good, *(report(n, "", use=Use.NONE, why=why) for n in range(4, 8))], least=5)
    most = [*good, *(report(n, "", use=Use.NONE, why=why) for n in range(4, 10))]
    with pytest.raises(NothingToLearn, match=reason):
        check_reports(most, least=5)
    check_reports(most, least=4)


def test_one_text_for_all() -> None:
    """Who signs the same words whatever was found gives nothing to learn but those words."""
    check_reports([report(n, f"{n} nodules.") for n in range(20)], least=4)
    with pytest.raises(NothingToLearn, match="all impressions are alike"):
        check_reports([report(n, "No acute  disease." if n else "No acute disease.") for n in range(20)], least=4)


def example(place: int, statement: str, chosen: str) -> PreferenceExample:
    return PreferenceExample(id=f"{place}/0", prompt="Impression:\n", chosen=chosen, statement=statement)


def test_edits_that_contradict_each_other() -> None:
    """The same statement signed now so, now so, teaches nothing; a way that mostly holds does."""
    wavering = [example(n, "Small effusion.", f" {'Minimal' if n % 2 else 'Small'} effusion.") for n in range(40)]
    steady = [example(n, "Small effusion.", " Small effusion." if n % 4 else " Minimal effusion.") for n in range(40)]
    check_examples(steady)
    with pytest.raises(NothingToLearn, match="edits contradict each other"):
        check_examples(wavering)
    check_examples([example(n, "", f" Text {n % 2}.") for n in range(40)])
    with pytest.raises(NothingToLearn, match="no sentence of theirs could be aligned"):
        check_examples([])


def make_turn(work: Path, second: int, **more: object) -> Turn:
    began = datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC)
    return folder.begin(work, Told(began=began, recipe="r", base="b", **more))  # type: ignore[arg-type]  # the same


def test_a_turn_on_disk(tmp_path: Path) -> None:
    """What a turn says of itself is read as it was written; the newest that hasn't ended is the one to go on with."""
    owner = Owner(radiologist="1001", owner="rad/1001", reports=60, new=60)
    skip = Skip(radiologist="1002", reason="no consent")
    folder.end(make_turn(tmp_path, 1), keep_rows=False)
    turn = make_turn(tmp_path, 2, owners=(owner,), skips=(skip,), only=("1001",))
    (tmp_path / "20990101T000000").mkdir()
    found = list(list_turns(tmp_path))
    assert [t.told.began.second for t in found] == [2, 1]
    assert find_open(found) == turn
    outcome = Outcome(owner="rad/1001", state=State.PUBLISHED, version="rad/1001@v1-0123456789ab", seconds={"2-sft": 1})
    assert turn.outcome("rad/1001") is None
    turn.put_outcome(outcome)
    assert turn.outcome("rad/1001") == outcome
    (turn.home("rad/1001") / OUTCOME).write_text("{")
    assert turn.outcome("rad/1001") is None
    folder.end(turn, keep_rows=False)
    assert find_open(list(list_turns(tmp_path))) is None


def test_rows_go_when_a_turn_ends(tmp_path: Path) -> None:
    """No report text stays on disk after a turn, unless the site keeps it; old turns go, and those that did nothing."""
    owner = Owner(radiologist="1001", owner="rad/1001", reports=60, new=60)
    for second, keep in enumerate((False, True)):
        turn = make_turn(tmp_path, second, owners=(owner,))
        rows = turn.home("rad/1001") / "1-examples" / "learn.jsonl"
        rows.parent.mkdir(parents=True)
        rows.write_text("{}")
        folder.end(turn, keep_rows=keep)
        assert rows.exists() is keep
    for second in (2, 3):
        folder.end(make_turn(tmp_path, second), keep_rows=False)
    folder.sweep(tmp_path, 1)
    assert [t.told.began.second for t in list_turns(tmp_path)] == [3, 1]


def test_what_was_looked_at_is_handed_on(tmp_path: Path) -> None:
    """What a turn has looked at and come to an end with isn't new to any later turn; what failed is."""
    parts = {"rad/1": State.REFUSED, "rad/2": State.FAILED, "rad/3": State.SKIPPED}
    owners = tuple(Owner(radiologist=name[4:], owner=name, reports=60, new=60) for name in parts)
    turn = make_turn(tmp_path, 1, owners=owners, looked={"rad/2": 40, "rad/4": 30})
    for name, state in parts.items():
        (turn.home(name) / EXAMPLES).mkdir(parents=True)
        write_done(turn.home(name) / EXAMPLES, Done(step=EXAMPLES, inputs="", seconds=1, told={"upto": 60}))
        turn.put_outcome(Outcome(owner=name, state=state))
    assert read_looked(tmp_path) == {"rad/1": 60, "rad/2": 40, "rad/3": 60, "rad/4": 30}
    make_turn(tmp_path, 2, looked=read_looked(tmp_path))
    folder.sweep(tmp_path, 1)
    assert read_looked(tmp_path) == {"rad/1": 60, "rad/2": 40, "rad/3": 60, "rad/4": 30}


def test_one_turn_at_a_time(tmp_path: Path) -> None:
    """Beside a turn no other one begins, and it is told who runs it; afterwards the next may."""
    with (
        alone(tmp_path),
        pytest.raises(TurnRuns, match=r"another turn runs \(pid \d+, since \d\d:\d\d\)"),
        alone(tmp_path),
    ):
        pytest.fail("two turns at a time")
    with alone(tmp_path):
        assert (tmp_path / "lock").exists()


def test_too_little_room(tmp_path: Path) -> None:
    """A disk without room is told by folder before anything begins."""
    check_room([tmp_path / "not" / "there"], 0.0)
    with pytest.raises(ConfigError, match=r"there has .* GiB of room, 1e\+06 are wanted"):
        check_room([tmp_path / "not" / "there"], 1e6)


def test_the_packaged_recipe() -> None:
    """The recipe that stands in `training/recipes` is what a turn does without one, and the others can be read."""
    assert load_recipe(RECIPES / "turn.yaml", TurnRecipe) == TurnRecipe()
    assert load_recipe(RECIPES / "turn_gpu.yaml", TurnRecipe).gpus == 1


def test_every_fault_of_a_recipe_at_once(tmp_path: Path) -> None:
    """A recipe that can't be meant is told with all its faults; a policy without an anchor is one of them."""
    path = tmp_path / "turn.yaml"
    path.write_text("sft: {epochs: 0}\nreinforce: {beta: 0}\nunknown: 1\n")
    with pytest.raises(ConfigError) as told:
        load_recipe(path, TurnRecipe)
    assert [problem.split(": ")[1] for problem in told.value.problems] == ["sft.epochs", "reinforce.beta", "unknown"]
