"""How much the features of style vary: the figures of `radbridge/style/features.toml`.

    python -m tests.bench.style_spread

Generated impressions, ten reports in each of 400 styles drawn from both parts.
"""

from __future__ import annotations

from itertools import islice
from statistics import pstdev

from radbridge.style.features import count_features, load_features
from radbridge_training.synth import Part, generate_reports, pick_personas

STYLES, REPORTS = 400, 10
SEED = 31
LEAST = 0.01
"""What a feature that hardly varies counts by."""


def main() -> None:
    """Print one line for each feature."""
    styles = [*pick_personas(SEED, STYLES // 2, Part.TRAINING), *pick_personas(SEED, STYLES // 2, Part.HELD_OUT)]
    reports = generate_reports(SEED, STYLES * REPORTS)
    counted = [count_features(report.write_as(style)) for style in styles for report in islice(reports, REPORTS)]
    for name, values in zip(load_features().names, zip(*counted, strict=True), strict=True):
        print(f"{name} = {max(LEAST, pstdev(values)):.3g}")


if __name__ == "__main__":
    main()
