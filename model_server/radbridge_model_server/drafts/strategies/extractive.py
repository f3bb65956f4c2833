"""`Extractive`: the findings' own words, without a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from radbridge.guard import Guard
from radbridge_model_server.drafts.asking import Written
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict, judge_coarse
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import Link


@dataclass(frozen=True, kw_only=True, slots=True)
class Extractive(Strategy):
    """`strategy: coarse`, and every other one while there is no engine."""

    @property
    def name(self) -> str:
        return "coarse"

    def has_nothing(self, prepared: Prepared) -> bool:
        return not prepared.coarse.text.strip()

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        return None

    def judge(self, prepared: Prepared, written: Written | None, guard: Guard) -> Verdict:
        return judge_coarse(prepared, guard)
