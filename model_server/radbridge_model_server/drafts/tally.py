"""`Tally`: champion and challenger side by side, in numbers alone. No text is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from radbridge.contract import DraftResponse
from radbridge.draft import Stage
from radbridge_model_server.drafts.asking import Written
from radbridge_model_server.loras.chain import LoraChain, Role

Mode = Literal["served", "shadow"]
_LABELS = ("owner", "role", "mode")
_HELD = frozenset({Stage.FINE, Stage.WHOLE})


@dataclass(kw_only=True, slots=True)
class Side:
    """What one side of a comparison has come to. Words and flags are those of drafts that held."""

    drafts: int = 0
    refused: int = 0
    """Texts that the content check or the guard refused."""
    words: int = 0
    ms: float = 0.0
    """Of the engine."""
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, response: DraftResponse) -> None:
        """Count one draft."""
        is_refused = response.stage not in _HELD
        self.drafts += 1
        self.refused += is_refused
        self.ms += response.timings_ms["engine"]
        if not is_refused:
            self.words += len(response.draft.split())
            self.flags.update(flag.kind for flag in response.flags)


class Tally(Collector):
    """Counts for owners who have a challenger, and forgets the others: so labels are as few as trials under way."""

    def __init__(self, chain: LoraChain) -> None:
        self._chain = chain
        self._sides: dict[tuple[str, str, Mode], Side] = {}

    def note(self, written: Written, response: DraftResponse, mode: Mode) -> None:
        """Count what a LoRA wrote, where its owner has a challenger."""
        if written.lora is None or self._chain.challenger(written.lora.owner) is None:
            return
        is_challenger = mode == "shadow" or self._chain.role(written.lora) is Role.CHALLENGER
        role = Role.CHALLENGER if is_challenger else Role.CHAMPION
        self._sides.setdefault((written.lora.owner, role, mode), Side()).add(response)

    def sides(self) -> dict[tuple[str, str, Mode], Side]:
        """(owner, role, mode) -> counts, of the trials under way."""
        over = {owner for owner, _, _ in self._sides if self._chain.challenger(owner) is None}
        self._sides = {key: side for key, side in self._sides.items() if key[0] not in over}
        return dict(sorted(self._sides.items()))

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Called by prometheus-client."""
        drafts = CounterMetricFamily("radbridge_lora_drafts", "Drafts in a trial", labels=_LABELS)
        refused = CounterMetricFamily("radbridge_lora_refused", "Of them, texts that were refused", labels=_LABELS)
        words = CounterMetricFamily("radbridge_lora_words", "Words of those that held", labels=_LABELS)
        seconds = CounterMetricFamily("radbridge_lora_engine_seconds", "Seconds in the engine", labels=_LABELS)
        flags = CounterMetricFamily("radbridge_lora_flags", "Guard flags of those that held", labels=(*_LABELS, "kind"))
        for key, side in self.sides().items():
            drafts.add_metric(key, side.drafts)
            refused.add_metric(key, side.refused)
            words.add_metric(key, side.words)
            seconds.add_metric(key, side.ms / 1000)
            for kind, count in sorted(side.flags.items()):
                flags.add_metric((*key, kind), count)
        return drafts, refused, words, seconds, flags
