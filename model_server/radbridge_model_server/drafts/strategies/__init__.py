"""The ways from findings to a text: each asks the engine in its own manner, and knows when what came holds."""

from __future__ import annotations

from collections.abc import Mapping

from radbridge.contract import TaskName
from radbridge_model_server.drafts.asking import Asker
from radbridge_model_server.drafts.coarse import CoarseDrafter
from radbridge_model_server.drafts.context import Fitter
from radbridge_model_server.drafts.strategies.expand import Expand
from radbridge_model_server.drafts.strategies.extractive import Extractive
from radbridge_model_server.drafts.strategies.refine import Refine
from radbridge_model_server.drafts.strategies.single import Single
from radbridge_model_server.drafts.strategies.statements import Statements
from radbridge_model_server.drafts.strategies.strategy import Strategy
from radbridge_model_server.loras.keeper import LoraKeeper
from radbridge_model_server.settings import Settings

__all__ = ["Extractive", "Strategy", "choose_strategies"]


def choose_strategies(settings: Settings, keeper: LoraKeeper, coarse: CoarseDrafter) -> Mapping[TaskName, Strategy]:
    """The way for each task that an engine with these settings does."""
    engine, chain = keeper.engine, keeper.chain
    asker = Asker(
        engine=engine,
        keeper=keeper,
        max_new_tokens=settings.max_new_tokens,
        wait_share=settings.lifecycle.wait_share,
    )
    fitter = Fitter(
        engine=engine,
        template=settings.prompt_template,
        leave_out=settings.leave_out,
        max_new_tokens=settings.max_new_tokens,
    )
    strategies: dict[TaskName, Strategy] = {}
    if settings.strategy == "coarse":
        strategies["impression"] = Extractive()
    elif settings.strategy == "single":
        strategies["impression"] = Single(asker=asker, fitter=fitter)
    elif settings.coarse_by == "extractive":
        strategies["impression"] = Statements(asker=asker, fitter=fitter, is_sites=coarse.is_sites)
    else:
        strategies["impression"] = Refine(
            asker=asker, fitter=fitter, chain=chain, site_lora=settings.site_lora, lexicon=settings.lexicon
        )
    if settings.expand_lora:
        strategies["expand"] = Expand(asker=asker, fitter=fitter, chain=chain, expand_lora=settings.expand_lora)
    return strategies
