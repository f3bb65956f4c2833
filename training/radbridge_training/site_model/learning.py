"""Trains the chooser: a softmax over the candidates of each case, for the expected worth of what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from radbridge.candidates import FEATURES, Chooser, FeatureWeights

_LOST = -1e9
"""The rating of the places that a case with fewer candidates leaves empty."""
_FURTHEST = 5.0
"""As in `Chooser`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """A case: for each candidate its features, and its worth."""

    rows: Sequence[Sequence[float]]
    worths: Sequence[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How to train."""

    units: int = 16
    nets: int = 3
    """Networks of so many hidden units, whose ratings are averaged."""
    epochs: int = 15
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    dropout: float = 0.1
    seed: int = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lessons:
    """All lessons as tensors, cases by candidates."""

    rows: Tensor
    """Scaled features."""
    worths: Tensor
    real: Tensor
    """Which places are candidates: a case has fewer than another."""


def train(
    lessons: Sequence[Lesson],
    taken_up: Mapping[str, float],
    plan: Plan,
    on_epoch: Callable[[], object] = lambda: None,
) -> Chooser:
    """A chooser that has learnt from `lessons`, each with a candidate at least. The same for the same seed."""
    torch.manual_seed(plan.seed)
    flat = torch.tensor([row for lesson in lessons for row in lesson.rows])
    mean, deviation = flat.mean(0), flat.std(0).clamp(min=1e-3)
    stacked = _stack(lessons, mean, deviation)
    nets = [_fit(stacked, plan, on_epoch) for _ in range(plan.nets)]
    weights = torch.cat([hidden.weight.detach() for hidden, _ in nets]).T.tolist()
    told = zip(FEATURES, mean.tolist(), deviation.tolist(), weights, strict=True)
    return Chooser(
        taken_up={label: round(share, 4) for label, share in sorted(taken_up.items())},
        features={
            name: FeatureWeights(mean=_short(m), deviation=_short(d), weights=tuple(map(_short, w)))
            for name, m, d, w in told
        },
        bias=tuple(_short(bias) for hidden, _ in nets for bias in hidden.bias.tolist()),
        output=tuple(_short(weight / plan.nets) for _, output in nets for weight in output.weight[0].tolist()),
    )


def _fit(lessons: _Lessons, plan: Plan, on_epoch: Callable[[], object]) -> tuple[nn.Linear, nn.Linear]:
    """The hidden and the output layer of one network. Several, their ratings averaged, are one wider network."""
    hidden, output = nn.Linear(len(FEATURES), plan.units), nn.Linear(plan.units, 1, bias=False)
    net = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(plan.dropout), output)
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    steps = plan.epochs * -(-len(lessons.rows) // plan.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=steps)
    for _ in range(plan.epochs):
        for chosen in torch.randperm(len(lessons.rows)).split(plan.batch):
            loss = _lose(net(lessons.rows[chosen]).squeeze(-1), lessons.worths[chosen], lessons.real[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        on_epoch()
    return hidden, output


def _stack(lessons: Sequence[Lesson], mean: Tensor, deviation: Tensor) -> _Lessons:
    most = max(len(lesson.rows) for lesson in lessons)
    rows = torch.zeros(len(lessons), most, len(FEATURES))
    worths = torch.zeros(len(lessons), most)
    real = torch.zeros(len(lessons), most, dtype=torch.bool)
    for case, lesson in enumerate(lessons):
        count = len(lesson.rows)
        scaled = (torch.tensor(lesson.rows) - mean) / deviation
        rows[case, :count] = scaled.clamp(-_FURTHEST, _FURTHEST)
        worths[case, :count] = torch.tensor(lesson.worths)
        real[case, :count] = True
    return _Lessons(rows=rows, worths=worths, real=real)


def _lose(ratings: Tensor, worths: Tensor, real: Tensor) -> Tensor:
    """What is lost against always choosing the best."""
    chances = torch.softmax(ratings.masked_fill(~real, _LOST), 1)
    best = worths.masked_fill(~real, _LOST).amax(1)
    return (best - (chances * worths).sum(1)).mean()


def _short(weight: float) -> float:
    """With as many digits as matter, for a file that can be read."""
    return float(f"{weight:.5g}")
