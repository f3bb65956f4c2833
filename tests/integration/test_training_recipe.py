"""The recipes, run for a few steps on a tiny model: what they write is what the model server loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from peft import PeftModel
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from radbridge.errors import ConfigError
from radbridge.prompt import PROMPT_VERSION, PromptInput, Template, build_prompt
from radbridge.registry import digest_weights, read_version, verify
from radbridge_training import pretrain, sft
from radbridge_training.evaluate import evaluate
from radbridge_training.model import TARGETS
from radbridge_training.recipe import BaseRecipe, Data, StyleRecipe, Table, load_recipe
from radbridge_training.task import make_examples
from radbridge_training.turn_recipe import TurnRecipe

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
KINDS: dict[str, type[Table]] = {
    "-m radbridge_training.pretrain": BaseRecipe,
    "-m radbridge_training.sft": StyleRecipe,
    "radbridge train": TurnRecipe,
}
QUIET = Console(quiet=True)
DATA = Data(styles={"numbered": 1.0})
TINY = {
    "vocab_size": 600,
    "hidden_size": 72,
    "intermediate_size": 96,
    "layers": 2,
    "heads": 4,
    "kv_heads": 4,
    "head_dim": 32,
    "positions": 1024,
}

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def write_recipe(folder: Path, name: str, **changes: object) -> Path:
    """A recipe of the repository with some of its values changed, as a file."""
    recipe = yaml.safe_load((RECIPES / name).read_text(encoding="utf-8"))
    path = folder / name
    path.write_text(yaml.safe_dump(recipe | changes), encoding="utf-8")
    return path


def train_lora(folder: Path, name: str, *, base: Path, out: Path, **changes: object) -> None:
    """Train a LoRA by a recipe of the repository made tiny."""
    tiny = {"base": str(base), "out": str(out), "work": str(folder / f"work-{out.name}"), "threads": 1, "rank": 4}
    recipe = write_recipe(folder, name, **(tiny | changes))
    sft.train(load_recipe(recipe, StyleRecipe), recipe.name, QUIET)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base/ and loras/numbered/, trained by the repository's recipes made tiny."""
    root = tmp_path_factory.mktemp("training")
    base = write_recipe(
        root,
        "base.yaml",
        out=str(root / "base"),
        work=str(root / "work"),
        threads=1,
        tokenizer_reports=40,
        shape=TINY,
        phases=[
            {"steps": 3, "sights": {"tokens": 0.5, "coarse": 0.5}, "batch_tokens": 400, "max_tokens": 200},
            {"steps": 2, "sights": {"short": 0.5, "full": 0.5}, "batch_tokens": 800, "max_tokens": 600},
        ],
    )
    recipe = load_recipe(base, BaseRecipe)
    pretrain.train(pretrain.start(recipe, base.name), QUIET)
    out = root / "loras" / "numbered"
    train_lora(root, "style_numbered.yaml", base=root / "base", out=out, batch_size=4, examples=8)
    return root


def test_a_trained_lora_is_a_version_that_the_registry_reads(trained: Path) -> None:
    """Its name holds the digest of its files, it names its base by digest, and nothing in it has changed since."""
    version = read_version(trained / "loras" / "numbered")
    verify(version)
    assert (version.owner, version.number) == ("persona/numbered", 6)
    assert version.base_digest == digest_weights(trained / "base")
    assert version.prompt_version == PROMPT_VERSION
    assert (version.rank, set(version.targets)) == (4, set(TARGETS))


def test_a_trained_lora_holds_nothing_that_is_not_loaded(trained: Path) -> None:
    """No optimizer state, no pickle, no path of the machine it was trained on."""
    folder = trained / "loras" / "numbered"
    assert {p.name for p in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors", "manifest.json"}
    for path in folder.glob("*.json"):
        assert str(trained) not in path.read_text(encoding="utf-8")


def test_transformers_and_peft_load_what_was_trained(trained: Path) -> None:
    """Base and LoRA answer a prompt through the public libraries alone."""
    tokenizer = AutoTokenizer.from_pretrained(trained / "base")
    model = AutoModelForCausalLM.from_pretrained(trained / "base")
    tuned = PeftModel.from_pretrained(model, trained / "loras" / "numbered")
    prompt = tokenizer([build_prompt(PromptInput(findings="", coarse="5 mm nodule."))], return_tensors="pt")
    answer = tuned.generate(input_ids=prompt["input_ids"], attention_mask=prompt["attention_mask"], max_new_tokens=4)
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_the_tokenizer_gives_back_what_it_took(trained: Path) -> None:
    """Capitals, accents, numbers, signs and line breaks survive the way through tokens."""
    tokenizer = AutoTokenizer.from_pretrained(trained / "base")
    text = " 1. A 12.5 mm McBurney-like nodule (BI-RADS 4A), 3 × 4 cm, Ménière.\n2. No MRI; CT/PET 30%."
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_word_is_one_token_wherever_it_stands(trained: Path) -> None:
    """At the start of a sentence a word has the mark of a capital, and the same token as inside it."""
    tokenizer = AutoTokenizer.from_pretrained(trained / "base")
    assert tokenizer(" Nodule")["input_ids"][1:] == tokenizer(" nodule")["input_ids"]


def test_training_goes_on_from_its_checkpoint(trained: Path) -> None:
    """A run that was cut off starts again where it was, not at the beginning."""
    recipe = load_recipe(trained / "base.yaml", BaseRecipe)
    assert pretrain.start(recipe, "base.yaml").step == 5


def test_a_base_goes_on_from_a_finished_one(trained: Path, tmp_path: Path) -> None:
    """The second part of the curriculum keeps shape and tokenizer, changes the weights, and says what it began with."""
    path = write_recipe(
        tmp_path,
        "base_style.yaml",
        start=str(trained / "base"),
        out=str(tmp_path / "base"),
        work=str(tmp_path / "work"),
        phases=[{"steps": 2, "sights": {"tokens": 0.2, "statement": 0.8}, "batch_tokens": 400, "max_tokens": 300}],
    )
    pretrain.train(pretrain.start(load_recipe(path, BaseRecipe), path.name), QUIET)
    told = json.loads((tmp_path / "base" / "manifest.json").read_bytes())
    assert told["trained"] == {"recipe": path.name, "steps": 2, "seed": 29, "start": digest_weights(trained / "base")}
    assert digest_weights(tmp_path / "base") != digest_weights(trained / "base")
    before, after = (AutoTokenizer.from_pretrained(folder / "base") for folder in (trained, tmp_path))
    assert before.get_vocab() == after.get_vocab()


def test_a_lora_learns_to_expand(trained: Path, tmp_path: Path) -> None:
    """The recipe for key phrases gives a LoRA of the same kind as a style's."""
    out = tmp_path / "lora"
    train_lora(tmp_path, "expand.yaml", base=trained / "base", out=out, batch_size=2, examples=4)
    assert read_version(out).owner == "persona/expand"


def test_the_evaluation_measures_a_trained_model(trained: Path) -> None:
    """All measures are shares, even of drafts by a model that has learnt nothing."""
    measures = evaluate(trained, ["numbered"], None, 3, QUIET)["numbered"]
    assert measures.statements >= 3
    shares = (measures.unsupported, measures.refused, measures.style, measures.exact, measures.rare_copied)
    assert all(0 <= share <= 1 for share in shares)


def test_a_lora_learns_the_prompt_that_its_base_is_served_with(trained: Path, tmp_path: Path) -> None:
    """A recipe's template is that of its examples, and its version is recorded: under another prompt it is refused."""
    out, changes = tmp_path / "lora", {"prompt_template": "alpaca", "max_tokens": 1024}
    train_lora(tmp_path, "style_numbered.yaml", base=trained / "base", out=out, batch_size=2, examples=2, **changes)
    assert read_version(out).prompt_version == "p2-alpaca"
    [plain] = make_examples(1, 1, data=DATA, sights={"full": 1.0})
    [alpaca] = make_examples(1, 1, data=DATA, sights={"full": 1.0}, template=Template.ALPACA)
    sections = plain.prompt.removesuffix("\nImpression:\n")
    assert f"### Input:\n{sections}\n\n### Response:\n" in alpaca.prompt
    assert alpaca.target == plain.target


def test_every_fault_of_a_recipe_is_named_at_once(tmp_path: Path) -> None:
    """Whoever writes a recipe sees all its faults together, before anything starts."""
    path = write_recipe(tmp_path, "base.yaml", max_minutes=-1, colour="red", shape=TINY | {"layers": 1})
    with pytest.raises(ConfigError) as error:
        load_recipe(path, BaseRecipe)
    assert len(error.value.problems) == 3


def test_every_recipe_is_valid_and_says_how_to_run_it() -> None:
    """The first line of a recipe is the command that runs it."""
    for path in sorted(RECIPES.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        load_recipe(path, next(kind for command, kind in KINDS.items() if command in first))
        assert f"--recipe training/recipes/{path.name}" in first
