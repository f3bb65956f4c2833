"""The measures that are always taken, and those of other packages that need a model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from radbridge.errors import ConfigError
from radbridge.evaluation.bleu import Bleu
from radbridge.evaluation.edits import Edits
from radbridge.evaluation.faults import Faults
from radbridge.evaluation.labels import EachLabel, Labels
from radbridge.evaluation.lengths import Lengths
from radbridge.evaluation.measure import Measure
from radbridge.evaluation.rouge import Rouge
from radbridge.evaluation.style import Style

GROUP = "radbridge.measures"
"""Entry points: a name, and `factory(weights: Path) -> Measure`, which raises ConfigError for a folder it can't use."""


def core_measures() -> tuple[Measure, ...]:
    """Those that need nothing but the texts, in printing order."""
    return Rouge(), Bleu(), Labels(), EachLabel(), Faults(), Edits(), Style(), Lengths()


def load_measures(weights: Mapping[str, Path]) -> tuple[Measure, ...]:
    """The measures by name, each with the folder of its weights. Raises ConfigError with every fault."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    problems = [
        f"--measure {name}: there is no such measure; installed: {', '.join(sorted(installed)) or 'none'}"
        for name in weights
        if name not in installed
    ]
    problems += [
        f"--measure {name}: there is no folder {folder}" for name, folder in weights.items() if not folder.is_dir()
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(installed[name].load()(folder) for name, folder in weights.items())
