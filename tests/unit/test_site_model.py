"""What a site model learns from signed reports."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from radbridge.candidates import CHOOSING, FEATURES, POOL, Report, load_site_drafter
from radbridge.errors import ConfigError
from radbridge_model_server.settings import PACKAGED, load_settings
from radbridge_training.model import load_base
from radbridge_training.site_model.decoder import train_decoder
from radbridge_training.site_model.decoding import DecoderPlan, Start
from radbridge_training.site_model.learning import Lesson, Plan, train
from radbridge_training.site_model.making import make_site_model, write_site_model
from radbridge_training.site_model.reports import FEWEST, SignedReport, count_taken_up, read_reports
from radbridge_training.site_model.worth import Appraiser

EMBEDDED = PACKAGED / "base"
PLACE = list(FEATURES).index("signed")


def lesson(best: int) -> Lesson:
    """Three candidates, of which the one that is signed most often is worth most."""
    rows = [[float(i == best) if place == PLACE else 0.5 for place in range(len(FEATURES))] for i in range(3)]
    return Lesson(rows=rows, worths=[float(i == best) for i in range(3)])


def test_what_is_worth_more_is_rated_higher() -> None:
    """After lessons in which one feature always tells the best, it is found in a case never seen."""
    lessons = [lesson(number % 3) for number in range(60)]
    chooser = train(lessons, {}, Plan(epochs=15, seed=3))
    for best in range(3):
        ratings = [chooser.rate(row) for row in lesson(best).rows]
        assert ratings.index(max(ratings)) == best


def test_the_same_seed_makes_the_same_chooser() -> None:
    """Training is repeatable to the last digit that is written."""
    lessons = [lesson(number % 3) for number in range(30)]
    plan = Plan(epochs=3, seed=5)
    assert train(lessons, {"edema": 0.4}, plan) == train(lessons, {"edema": 0.4}, plan)


def test_worth_counts_words_and_findings() -> None:
    """The signed text is worth most; of two equally wrong ones the one that invents a finding is worth less."""
    same, plain, invented = Appraiser(0.2).appraise(
        ["Small left pleural effusion.", "Nothing to say.", "Pneumothorax."], "Small left pleural effusion."
    )
    assert same > 1.0 > plain > invented


def test_how_often_findings_are_taken_up() -> None:
    """Seldom seen, a finding is taken up in about a third; often seen, as often as it was."""
    said = Report(findings="Calcified granuloma.", impression="Granuloma.", named=("granuloma",))
    unsaid = Report(findings="Calcified granuloma.", impression="Normal.", named=("granuloma",))
    assert count_taken_up([unsaid])["granuloma"] == 0.25
    assert count_taken_up([said, said, said, said, said, unsaid])["granuloma"] == pytest.approx(6 / 9)


def test_what_templates_leave_is_not_copied() -> None:
    """Full stops of a field that nobody filled in stay out of the pool; one that ends a sentence or a number stays."""
    signed = SignedReport(findings="Clear.", impression="No acute findings. . \n2. Nodule of 1.5 cm.. Stable.")
    assert signed.as_pooled().impression == "No acute findings. \n2. Nodule of 1.5 cm. Stable."


def test_too_few_reports_are_refused(tmp_path: Path) -> None:
    """Nothing can be learnt from a handful."""
    file = tmp_path / "train.jsonl"
    file.write_text('{"findings": "Clear.", "impression": "Normal."}\n' * (FEWEST - 1))
    with pytest.raises(ConfigError, match=f"holds {FEWEST - 1} reports"):
        read_reports(file)


def test_the_pool_is_de_identified(tmp_path: Path) -> None:
    """Names and numbers that a report holds are out of what is written beside the weights."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "manifest.json").write_text(
        json.dumps({"name": "b", "digest": "0" * 64, "serving": {"strategy": "single"}})
    )
    (base / "model.safetensors").write_bytes(b"weights")
    told = "Clear lungs. Discussed with Dr. Stoneham, MRN 900001234."
    signed = [SignedReport(findings=f"{told} Film {n}.", impression="No acute disease.") for n in range(4)]

    def watch(reports: Iterable[SignedReport], count: int) -> Iterable[SignedReport]:
        assert count == len(signed)
        return reports

    model = make_site_model(signed, Plan(epochs=2), watch=watch, on_epoch=lambda: None)
    write_site_model(tmp_path / "out", model, base=base, name="ours")
    written = (tmp_path / "out" / POOL).read_text()
    assert "Stoneham" not in written
    assert "900001234" not in written
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"weights"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert (manifest["name"], manifest["digest"]) == ("ours", "0" * 64)
    assert manifest["serving"]["strategy"] == "coarse_to_fine"
    assert (tmp_path / "out" / CHOOSING).exists()
    assert load_site_drafter(tmp_path / "out") is not None


def test_a_folder_that_is_no_base_is_refused(tmp_path: Path) -> None:
    """A wrong --base is told before anything is written."""
    signed = [SignedReport(findings=f"Clear. Film {n}.", impression="Normal.") for n in range(4)]
    model = make_site_model(signed, Plan(epochs=1), watch=lambda reports, _: reports, on_epoch=lambda: None)
    with pytest.raises(ConfigError, match="--base"):
        write_site_model(tmp_path / "out", model, base=tmp_path, name="ours")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("start", Start)
def test_a_decoder_is_a_base_of_its_own(tmp_path: Path, start: Start) -> None:
    """It is served in one step, and has learnt: its weights aren't those that it began with."""
    signed = [SignedReport(findings=f"The lungs are clear. Film {n}.", impression="No disease.") for n in range(6)]
    told: list[tuple[int, int]] = []
    plan = DecoderPlan(epochs=5, batch=3)
    out = tmp_path / "decoder"
    train_decoder(
        signed,
        base=EMBEDDED,
        start=start,
        plan=plan,
        out=out,
        on_steps=lambda step, steps, _: told.append((step, steps)),
    )
    assert told == [(10, 10)]
    assert load_settings(write_config(tmp_path, out)).strategy == "single"
    ours, theirs = (load_base(folder)[0].model.embed_tokens.weight for folder in (out, EMBEDDED))
    assert ours.shape == theirs.shape
    assert not torch.equal(ours, theirs)


def write_config(folder: Path, base: Path) -> Path:
    config = folder / "model.json"
    config.write_text(json.dumps({"base": str(base)}))
    return config
