"""What is learned from signed reports: which may be used for what, and the examples that trainers take."""

from radbridge.learning.examples import (
    EXAMPLE,
    SHOWN,
    PreferenceExample,
    Shown,
    Ways,
    as_example,
    as_input,
    make_examples,
    make_shown_examples,
    show_earlier,
)
from radbridge.learning.personas import nearest_persona
from radbridge.learning.report import REPORT, TrainingReport, Use
from radbridge.learning.rules import judge_reports
from radbridge.learning.splits import Split, split
from radbridge.learning.vocabulary import is_held_out

__all__ = [
    "EXAMPLE",
    "REPORT",
    "SHOWN",
    "PreferenceExample",
    "Shown",
    "Split",
    "TrainingReport",
    "Use",
    "Ways",
    "as_example",
    "as_input",
    "is_held_out",
    "judge_reports",
    "make_examples",
    "make_shown_examples",
    "nearest_persona",
    "show_earlier",
    "split",
]
