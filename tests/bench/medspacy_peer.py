"""medspaCy's ConText, for `guard_negation.py`: run by it in medspaCy's own environment, so it imports nothing of ours.

Reads `{"targets": [...], "cases": [{"text", "start", "end"}], "reports": [...], "rounds": N}` from standard input and
writes the answers and the times. The pipeline is medspaCy's own default one with its rules, which are for clinical
notes at large: a blank English tokenizer, PyRuSH's sentences, the target matcher and ConText. It is timed once more
with spaCy's sentence splitter, as PyRuSH takes nine tenths of the time. Nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

ANSWERS = (
    ("is_negated", "denied"),
    ("is_historical", "past"),
    ("is_family", "past"),
    ("is_uncertain", "uncertain"),
    ("is_hypothetical", "uncertain"),
)
"""ConText's marks as our answers; the first that is set counts."""


def build(targets: Sequence[str]) -> Any:
    """The pipeline, with the phrases that it has to find."""
    import medspacy  # type: ignore[import-not-found]
    from loguru import logger  # type: ignore[import-not-found]
    from medspacy.ner import TargetRule  # type: ignore[import-not-found]

    logger.remove()  # PyRuSH writes two lines a sentence, which would be most of the time
    pipeline = medspacy.load()
    pipeline.get_pipe("medspacy_target_matcher").add([TargetRule(target, "FINDING") for target in targets])
    return pipeline


def answer(pipeline: Any, text: str, start: int, end: int) -> str:
    """What it reads of the target at `start` to `end`."""
    found = [e for e in pipeline(text).ents if e.start_char < end and e.end_char > start]
    if not found:
        return "unread"
    return next((name for mark, name in ANSWERS if getattr(found[0]._, mark)), "affirmed")


def lighten(pipeline: Any) -> Any:
    """The same pipeline with spaCy's own sentence splitter."""
    pipeline.remove_pipe("medspacy_pyrush")
    pipeline.add_pipe("sentencizer", first=True)
    return pipeline


def time_ms(pipeline: Any, texts: Sequence[str], rounds: int) -> float:
    """The median processor time of one text, over all rounds."""
    times = []
    for _ in range(rounds):
        for text in texts:
            began = time.process_time()
            pipeline(text)
            times.append(1e3 * (time.process_time() - began))
    return median(times)


def main() -> None:
    asked = json.load(sys.stdin)
    pipeline = build(asked["targets"])
    sentences, reports, rounds = [case["text"] for case in asked["cases"]], asked["reports"], asked["rounds"]
    told = {
        "version": version("medspacy"),
        "rules": len(pipeline.get_pipe("medspacy_context").rules),
        "answers": [answer(pipeline, case["text"], case["start"], case["end"]) for case in asked["cases"]],
        "sentence_ms": time_ms(pipeline, sentences, rounds),
        "report_ms": time_ms(pipeline, reports, rounds),
    }
    light = lighten(pipeline)
    told |= {
        "light_sentence_ms": time_ms(light, sentences, rounds),
        "light_report_ms": time_ms(light, reports, rounds),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
