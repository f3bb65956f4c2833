"""Every way to train a LoRA, two steps each on a tiny model: what it writes is what the engine serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from radbridge.errors import NothingToLearn, TrainingFault
from radbridge.learning import PreferenceExample, Ways, make_examples, show_earlier
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraRegistry, digest_weights
from radbridge_model_server.engines.engine import Prompt
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import Settings
from radbridge_training.optimize.exporting import export
from radbridge_training.optimize.load import load_for_training
from radbridge_training.optimize.own_drafts import OwnWriter, list_prompts
from radbridge_training.optimize.preference import train_preference
from radbridge_training.optimize.reinforce import train_grpo
from radbridge_training.optimize.reward_model import load_scorer, train_reward
from radbridge_training.optimize.supervised import train_sft
from radbridge_training.optimize.worth import weigh
from radbridge_training.recipe import load_recipe
from radbridge_training.turn_recipe import Common, LoraShape, Prefer, Reinforce, Reward, Sft, TurnRecipe
from tests.support.tiny_model import make_base
from tests.support.training_reports import make_reports

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
REPORTS = list(make_reports(5, 14))
COMMON = Common()
SHAPE = LoraShape(rank=4, alpha=8)
SFT = Sft(steps=2, batch_size=4)
PREFER = Prefer(steps=2, batch_size=4, pairs="recorded")
REINFORCE = Reinforce(steps=2, batch_size=4, generations=2, max_new_tokens=6, learning_rate=1e-3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def examples() -> list[PreferenceExample]:
    """Rows of one radiologist without examples in view: prompts that a context of 512 bytes holds."""
    return list(make_examples(REPORTS, Ways(), alike=4, newest=2, unseen_share=1.0))


@pytest.fixture(scope="module")
def start(base: Path, examples: list[PreferenceExample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two supervised steps made."""
    folder = tmp_path_factory.mktemp("sft")
    told: list[tuple[str, int, int]] = []
    figures = train_sft(
        examples,
        base=base,
        parent=None,
        recipe=SFT,
        lora=SHAPE,
        common=COMMON,
        into=folder,
        tell=lambda phase, done, total: told.append((phase, done, total)),
    )
    assert figures["steps"] == 2
    assert told[-1] == ("sft", 2, 2)
    return folder


def _sft(examples: list[PreferenceExample], base: Path, start: Path, into: Path) -> None:
    recipe = SFT.model_copy(update={"loss": "edit_weighted"})
    train_sft(examples, base=base, parent=start, recipe=recipe, lora=SHAPE, common=COMMON, into=into)


def _dpo(examples: list[PreferenceExample], base: Path, start: Path, into: Path) -> None:
    train_preference(examples, base=base, start=start, recipe=PREFER, common=COMMON, into=into)


def _kto(examples: list[PreferenceExample], base: Path, start: Path, into: Path) -> None:
    recipe = PREFER.model_copy(update={"method": "kto"})
    train_preference(examples, base=base, start=start, recipe=recipe, common=COMMON, into=into)


def _grpo(examples: list[PreferenceExample], base: Path, start: Path, into: Path) -> None:
    train_grpo(examples, reports=REPORTS, base=base, start=start, recipe=REINFORCE, common=COMMON, into=into)


@pytest.mark.parametrize("train", [_sft, _dpo, _kto, _grpo])
def test_each_objective_goes_on_from_the_step_before(
    train: Callable[[list[PreferenceExample], Path, Path, Path], None],
    examples: list[PreferenceExample],
    base: Path,
    start: Path,
    tmp_path: Path,
) -> None:
    """A step leaves weights of the same names and shapes that aren't those it began with, and not one file more."""
    train(examples, base, start, tmp_path / "next")
    assert {path.name for path in (tmp_path / "next").iterdir()} == {WEIGHTS, PEFT_CONFIG}
    before, after = load_file(start / WEIGHTS), load_file(tmp_path / "next" / WEIGHTS)
    assert {name: tensor.shape for name, tensor in after.items()} == {n: t.shape for n, t in before.items()}
    assert all(tensor.dtype == torch.bfloat16 for tensor in after.values())
    if train is not _grpo:  # a model that writes noise is rewarded alike for all of it
        assert any(not torch.equal(before[name], after[name]) for name in before)


async def test_the_engine_writes_what_the_trainer_writes(base: Path, start: Path, tmp_path: Path) -> None:
    """A LoRA of a step is served as it is, and its answers are those that training measures it by."""
    registry = LoraRegistry(tmp_path / "registry")
    version = registry.publish(start, "rad/1001", base_digest=digest_weights(base), prompt_version=PROMPT_VERSION)
    shown = list(show_earlier(REPORTS[:3], alike=4, newest=0))
    writer = OwnWriter(base, start, Ways(), threads=1)
    prompts = list_prompts(shown, Ways())[:4]
    engine = await start_engine(Settings(base=base))
    await engine.ensure_lora(version)
    served = [(await engine.generate(Prompt(text=p, lora=version, max_new_tokens=192))).text for p in prompts]
    await engine.close()
    for own, text in zip(writer.answer(prompts), served, strict=True):
        assert own.text.startswith(text[:-1])  # a loop is cut off by the engine alone


def test_a_step_is_weighed_by_its_drafts(base: Path, start: Path) -> None:
    """Answers that aren't rewrites leave the coarse statements, which have no fault; equal weights earn no step."""
    shown = list(show_earlier(REPORTS[:3], alike=4, newest=0))
    worth = weigh(shown, base=base, lora=start, ways=Ways(), common=COMMON)
    assert worth.faults == 0
    assert worth.refused > 1
    assert "no better on 3 reports" in worth.compare(worth)
    assert not replace(worth, distance=worth.distance / 2).compare(worth)
    assert "more faults" in replace(worth, distance=0.0, faults=0.5).compare(worth)


def test_a_reward_model_prefers_what_it_learned_to(
    base: Path, examples: list[PreferenceExample], tmp_path: Path
) -> None:
    """The score of a signed answer is a share, and rises over the drafted one's while it is learned."""
    recipe = Reward(steps=8, batch_size=8, learning_rate=5e-3)
    train_reward(examples, base=base, recipe=recipe, lora=SHAPE, common=COMMON, into=tmp_path / "reward")
    score = load_scorer(base, tmp_path / "reward", COMMON)
    pairs = [e for e in examples if e.rejected]
    better = sum(score(e.prompt, e.chosen) > score(e.prompt, e.rejected) for e in pairs)
    assert better > 0.7 * len(pairs)
    assert 0 < score(pairs[0].prompt, pairs[0].chosen) < 1


def test_too_little_is_told_as_nothing_to_learn(base: Path, start: Path, examples: list[PreferenceExample]) -> None:
    """With too few rows, or none with a rejected answer, nothing is trained and the reason has numbers."""
    unpaired = [replace(e, rejected="") for e in examples]
    with pytest.raises(NothingToLearn, match=r"too few rows \(3 of 8\)"):
        train_sft(examples[:3], base=base, parent=None, recipe=SFT, lora=SHAPE, common=COMMON, into=start / "no")
    with pytest.raises(NothingToLearn, match=r"too few pairs \(0 of 8\)"):
        train_preference(unpaired, base=base, start=start, recipe=PREFER, common=COMMON, into=start / "no")
    assert not (start / "no").exists()


@pytest.mark.parametrize("step", ["sft", "prefer", "reinforce", "reward"])
def test_each_recipe_is_whole_and_names_its_command(step: str) -> None:
    """A step's recipe begins with the command that runs it, and has nothing in it that isn't known."""
    path = RECIPES / f"{step}.yaml"
    command = f"# .venv/bin/radbridge train {step} --recipe training/recipes/{step}.yaml"
    assert path.read_text(encoding="utf-8").startswith(command)
    assert load_recipe(path, TurnRecipe).seed == 17


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "no number"), (0.0, "changed nothing")])
def test_useless_weights_are_never_written(base: Path, tmp_path: Path, value: float, reason: str) -> None:
    """Weights that are no numbers, or that change nothing, are a fault of the step."""
    model, _ = load_for_training(base, COMMON.load, lora=SHAPE)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(value)
    with pytest.raises(TrainingFault, match=reason):
        export(model, base, tmp_path / "never")
    assert not (tmp_path / "never").exists()
