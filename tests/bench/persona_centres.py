"""How the packaged personas write, as numbers: the figures of `radbridge/learning/personas.toml`.

    python -m tests.bench.persona_centres

Generated impressions, the same reports as each of the personas would have signed them.
"""

from __future__ import annotations

from collections.abc import Iterator

from radbridge.learning.personas import mean_features
from radbridge_training.synth import PERSONAS, generate_reports

REPORTS = 400
SEED = 41


def print_centres(reports: int = REPORTS) -> Iterator[str]:
    """The lines of the table."""
    signed = [report.impressions for report in generate_reports(SEED, reports)]
    for name in PERSONAS:
        yield f"[{name}]"
        yield from (f"{key} = {value:.3g}" for key, value in mean_features(s[name] for s in signed).items())
        yield ""


if __name__ == "__main__":
    print("\n".join(print_centres()))
