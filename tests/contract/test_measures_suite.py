"""What every measure promises, held against the core's and against those that need a model."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from radbridge.errors import ConfigError
from radbridge.evaluation import measures as module
from radbridge.evaluation.measure import Measure
from radbridge.evaluation.resample import draw_sums, sum_rows
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.sums import tabulate
from radbridge_training.measures.bertscore import BertScore
from radbridge_training.measures.chexbert import OBSERVATIONS, CheXbert
from radbridge_training.measures.radgraph import RadGraphF1, load_radgraph

ROOT = Path(__file__).parents[2]
TEXTS = ("Small left effusion.", "", "No acute disease.", "1. Large mass.\n2. Fracture of the rib.", "effusion " * 80)
WORDS = sorted({word for text in TEXTS for word in text.lower().replace(".", " ").split()} | {"."})


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One of whole words."""
    words = {word: n for n, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of one layer."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=4 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def labeler(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with random heads, kept as CheXbert was published: from a run on several GPUs."""
    folder = tmp_path_factory.mktemp("labeler")
    for file in encoder.iterdir():
        if file.suffix == ".json":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.manual_seed(5)
    heads = {
        f"linear_heads.{n}.{name}": torch.randn(shape)
        for n in range(len(OBSERVATIONS) + 1)
        for name, shape in (("weight", (4 if n < 13 else 2, 16)), ("bias", (4 if n < 13 else 2,)))
    }
    bert = {f"bert.{name}": value for name, value in BertModel.from_pretrained(encoder).state_dict().items()}
    old = {"bert.embeddings.position_ids": torch.arange(64)}
    state = {f"module.{name}": value for name, value in (bert | heads | old).items()}
    torch.save({"epoch": 7, "model_state_dict": state}, folder / "chexbert.pth")
    return folder


def read_graphs(texts: list[str]) -> list[dict[str, Any]]:
    """A graph whose entities are the words; the first is in relation to the second."""
    return [
        {"entities": {str(n): {"tokens": w, "label": "OBS", "relations": [] if n else [["at", "1"]]} for n, w in told}}
        for told in (list(enumerate(text.split())) for text in texts)
    ]


@pytest.fixture(params=[*(m.name for m in module.core_measures()), "bertscore", "chexbert", "radgraph"])
def measure(request: pytest.FixtureRequest, encoder: Path, labeler: Path) -> Measure:
    own: dict[str, Callable[[], Measure]] = {
        "bertscore": lambda: BertScore(encoder),
        "chexbert": lambda: CheXbert(labeler),
        "radgraph": lambda: RadGraphF1(read_graphs),
    }
    core = {m.name: m for m in module.core_measures()}
    return core.get(request.param) or own[request.param]()


def pairs(drafts: Sequence[str] = TEXTS, signed: Sequence[str] = TEXTS) -> Iterator[Pair]:
    for number, (draft, impression) in enumerate(zip(drafts, signed, strict=True)):
        reference = Reference(id=str(number), impression=impression, findings="Left effusion. A mass.")
        yield Pair(number=number, reference=reference, draft=Draft(id=str(number), draft=draft))


def test_a_row_of_its_width_for_each_pair(measure: Measure) -> None:
    """Every pair gets one row of `width` numbers at least zero, and each figure is a number or not defined."""
    table = tabulate(pairs(TEXTS[::-1]), [measure])
    rows = table.columns[measure.name].astype(float)
    assert rows.shape == (len(TEXTS), measure.width)
    assert np.isfinite(rows).all()
    assert (rows >= 0).all()
    for figure in measure.figures:
        assert figure.estimate(draw_sums(rows, draws=7)).shape == (7,)


def test_a_batch_changes_nothing(measure: Measure) -> None:
    """Pairs measured one by one have the rows that they have together."""
    every = list(pairs(TEXTS[::-1]))
    alone = [row for pair in every for row in measure.rows([pair])]
    assert np.array(alone, dtype=float) == pytest.approx(np.array(list(measure.rows(every)), dtype=float), abs=1e-5)


def test_reports_of_zeros_change_nothing(measure: Measure) -> None:
    """Rows of zeros, of reports that a measure doesn't apply to, leave every figure as it is."""
    rows = tabulate(pairs(TEXTS[::-1]), [measure]).columns[measure.name].astype(float)
    padded = np.vstack([rows, np.zeros_like(rows)])
    for figure in measure.figures:
        assert figure.estimate(sum_rows(padded)) == pytest.approx(figure.estimate(sum_rows(rows)), nan_ok=True)


def test_the_signed_text_is_the_best_draft(measure: Measure) -> None:
    """No draft has a better figure than the signed text itself, where more or less is better."""
    texts = [text for text in TEXTS if text]
    best = tabulate(pairs(texts, texts), [measure]).columns[measure.name]
    other = tabulate(pairs(texts[::-1], texts), [measure]).columns[measure.name]
    for figure in measure.figures:
        one, two = (float(figure.estimate(sum_rows(rows))) for rows in (best, other))
        if figure.name in {"unsupported", "any_unsupported", "unsupported_words", "flagged", "blocked"}:
            continue  # these hold the draft to the findings, which the signed texts here go beyond
        if np.isfinite([one, two]).all() and not figure.name.startswith("flag_"):
            assert {"more": one >= two - 1e-6, "less": one <= two + 1e-6, "neither": True}[figure.better]


def test_bertscore_by_hand(encoder: Path) -> None:
    """The same words in the same places score one; a word in another context less; nothing scores nothing."""
    same, other, empty = BertScore(encoder).rows(
        list(pairs(("rib mass", "mass", ""), ("rib mass", "rib mass", "mass")))
    )
    assert same == pytest.approx((1, 1, 1, 1), abs=1e-5)
    assert other[1] < 1
    assert other[3] == pytest.approx(2 * other[1] * other[2] / (other[1] + other[2]))
    assert empty == (1, 0, 0, 0)


def test_chexbert_reads_either_form(labeler: Path, tmp_path: Path) -> None:
    """The published checkpoint and the same weights as safetensors give the same observations."""
    state = torch.load(labeler / "chexbert.pth", weights_only=True)["model_state_dict"]
    for file in labeler.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file({name.removeprefix("module."): value for name, value in state.items()}, tmp_path / "model.safetensors")
    one, other = (list(CheXbert(folder).rows(list(pairs(TEXTS[::-1])))) for folder in (labeler, tmp_path))
    assert one == other
    assert sum(map(sum, one)) > 0


def test_radgraph_by_hand() -> None:
    """An entity is met by its words, its label and whether it has a relation."""
    [row, empty] = RadGraphF1(read_graphs).rows(list(pairs(("left rib mass", " "), ("LEFT mass effusion rib", "mass"))))
    assert row == (1.0, pytest.approx(2 * 3 / 7))
    assert empty == (1.0, 0.0)


@pytest.mark.parametrize("factory", [BertScore, CheXbert])
def test_a_folder_without_the_model_says_what_is_missing(factory: Any, tmp_path: Path, encoder: Path) -> None:
    """An empty folder, and one with another model, are refused with the names of the files."""
    with pytest.raises(ConfigError, match=r"has no config\.json, no .*, no tokenizer\.json or vocab\.txt"):
        factory(tmp_path)
    if factory is CheXbert:
        with pytest.raises(ConfigError, match="isn't CheXbert of the shape"):
            CheXbert(encoder)


def test_weights_that_run_code_are_refused(labeler: Path, tmp_path: Path) -> None:
    """A checkpoint with anything but tensors in it isn't loaded, and a broken one is named."""
    for file in labeler.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({"model_state_dict": {"x": Path("y")}}, tmp_path / "chexbert.pth")
    with pytest.raises(ConfigError, match="can't be read"):
        CheXbert(tmp_path)
    (tmp_path / "chexbert.pth").write_bytes(b"junk")
    with pytest.raises(ConfigError, match="can't be read"):
        CheXbert(tmp_path)


def test_radgraph_says_what_it_needs(tmp_path: Path) -> None:
    """Without the authors' package the measure says so."""
    with pytest.raises(ConfigError, match="pip install radgraph"):
        load_radgraph(tmp_path)


def test_every_entry_point_can_be_loaded() -> None:
    """What pyproject names under `radbridge.measures` is there to be called."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][module.GROUP]
    assert set(points) == {"bertscore", "chexbert", "radgraph"}
    for value in points.values():
        name, _, attribute = value.partition(":")
        assert callable(getattr(import_module(name), attribute))


def test_measures_are_found_by_name(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed name with a folder gives the measure; unknown names and missing folders are told together."""
    point = EntryPoint("bertscore", "radbridge_training.measures.bertscore:BertScore", module.GROUP)
    monkeypatch.setattr(module, "entry_points", lambda group: [point] if group == module.GROUP else [])
    [found] = module.load_measures({"bertscore": encoder})
    assert isinstance(found, BertScore)
    absent = tmp_path / "absent"
    with pytest.raises(ConfigError) as told:
        module.load_measures({"sorcery": tmp_path, "bertscore": absent})
    assert told.value.problems == (
        "--measure sorcery: there is no such measure; installed: bertscore",
        f"--measure bertscore: there is no folder {absent}",
    )
