"""The recipe for a public benchmark, on invented reports: from a folder of reports to an evaluation."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from radbridge.candidates import load_site_drafter
from radbridge.guard import Guard
from radbridge_training.synth import generate_reports

RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "openi.py"
LEARNT, HELD = 40, 10


def load() -> ModuleType:
    """The recipe, which is a program and no module of a package."""
    spec = spec_from_file_location("openi", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented reports in the two files of a benchmark."""
    folder = tmp_path_factory.mktemp("data")
    rows = [
        {
            "id": str(number),
            "findings": report.findings,
            "impression": report.impressions["succinct"],
            "indication": report.indication,
        }
        for number, report in enumerate(generate_reports(11, LEARNT + HELD))
    ]
    write(folder / "train.jsonl", rows[:LEARNT])
    write(folder / "valid.jsonl", rows[LEARNT:])
    return folder


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe leaves behind."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("START_TIMEOUT_S", "DEADLINE_S"):  # of a machine that stands still
            patch.setenv(f"RADBRIDGE_MODEL__{limit}", "600")
        load().main(data=data, out=out)
    return out


def test_reports_become_a_model_that_is_served(made: Path) -> None:
    """The shipped command drafts every case with the folder alone; each draft is the site model's."""
    rows = [json.loads(line) for line in (made / "site.jsonl").read_text().splitlines()]
    assert len(rows) == HELD
    assert all(row["draft"] for row in rows)
    assert {row["model"] for row in rows} == {"openi-site"}
    assert {row["stage"] for row in rows} <= {"coarse", "retrieved"}
    assert (made / "site.toml").read_text() == f'[model]\nbase = "{made / "base"}"\n'


def test_it_is_evaluated_beside_the_baselines(made: Path) -> None:
    """The page and its figures hold the site model and every retrieval baseline."""
    told = json.loads((made / "report.json").read_bytes())
    assert told["reports"] == HELD
    names = {system["name"] for system in told["systems"]}
    assert {"site", "majority", "nearest", "medoid10", "whole_findings"} <= names
    assert (made / "report.html").stat().st_size > 10_000


def test_the_folder_is_the_base_and_what_it_learnt(made: Path, data: Path) -> None:
    """The weights are the embedded base's, unchanged; beside them lie the reports and the chooser, which drafts."""
    embedded = RECIPE.parents[2] / "model_server" / "radbridge_model_server" / "embedded" / "base"
    assert (made / "base" / "model.safetensors").read_bytes() == (embedded / "model.safetensors").read_bytes()
    site = load_site_drafter(made / "base")
    assert site is not None
    assert len(site.pool.reports) == LEARNT
    case = json.loads((data / "valid.jsonl").read_text().splitlines()[0])
    assert site.draft(case["findings"], check=Guard(case["findings"]).check).text


def test_a_faulty_line_is_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report without impression ends the recipe with its file and line, and without its text."""
    lines = (data / "train.jsonl").read_text().splitlines()
    lines[2] = json.dumps({"id": "2", "findings": "A secret finding."})
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    with pytest.raises(SystemExit) as ended:
        load().main(data=tmp_path, out=tmp_path / "out")
    said = "".join(capsys.readouterr().err.split())  # lines break at a terminal's width, wherever the path is long
    assert ended.value.code == 2
    assert f"{tmp_path / 'train.jsonl'},line3:impressionismissingorempty" in said
    assert "secret" not in said
    assert not (tmp_path / "out").exists()
