"""Whether a 4-bit base with a LoRA still says what PEFT says in full precision (vllm#42488, #10798: it hasn't always).

The reference writes greedy drafts; every candidate scores the same tokens, then writes for itself. 4-bit weights cost
accuracy by themselves, so the base without LoRA stands beside: a LoRA that is applied rightly doesn't make it worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch

from tests.gpu.shape import Shape
from tests.gpu.tell import tell
from tests.gpu.writer import PeftWriter, VllmWriter

Row = dict[str, object]
_NEAR = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What the full-precision model wrote, by one LoRA or by the base."""

    lora: int | None
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    logits: torch.Tensor
    """Of each token, on the CPU."""

    @property
    def ids(self) -> list[int]:
        """Prompt and draft."""
        return [*self.prompt, *self.tokens]

    @property
    def logprobs(self) -> list[float]:
        """Of the tokens that it wrote."""
        return _pick(self.logits, self.tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One candidate on one draft."""

    logprob_error: float
    agreement: float
    """Share of the reference's tokens that are the candidate's first choice in the reference's own text."""
    greedy: float
    """Share of the reference's tokens that the candidate writes by itself, place by place."""
    logit_error: float | None = None
    """Root mean square of the difference, over that of the reference's logits; None where they aren't told."""


async def write_references(model: Any, shape: Shape, prompts: Sequence[Sequence[int]], loras: int) -> list[Reference]:
    """Drafts by the base and by each of the first LoRAs."""
    writer = PeftWriter(model)
    made = []
    for lora in (None, *range(loras)):
        tell(f"reference, {'base' if lora is None else f'LoRA {lora}'}")
        for prompt in prompts:
            tokens = await writer.write(prompt, lora, shape.new_tokens)
            logits = _logits(model, [*prompt, *tokens], lora, len(prompt))
            made.append(Reference(lora=lora, prompt=tuple(prompt), tokens=tokens, logits=logits))
    return made


async def score_peft(model: Any, references: Sequence[Reference]) -> list[Score]:
    """A model in another precision."""
    writer = PeftWriter(model)
    scores = []
    for reference in references:
        logits = _logits(model, reference.ids, reference.lora, len(reference.prompt))
        written = await writer.write(reference.prompt, reference.lora, len(reference.tokens))
        difference = (logits - reference.logits).square().mean().sqrt()
        scores.append(
            Score(
                logprob_error=_error(_pick(logits, reference.tokens), reference.logprobs),
                agreement=_share(logits.argmax(-1).tolist(), reference.tokens),
                greedy=_share(written, reference.tokens),
                logit_error=float(difference / reference.logits.square().mean().sqrt()),
            )
        )
    return scores


async def score_vllm(writer: VllmWriter, references: Sequence[Reference]) -> list[Score]:
    """vLLM, which tells log probabilities of the tokens it is given."""
    scores = []
    for reference in references:
        chosen = None if reference.lora is None else writer.loras[reference.lora]
        told = await writer.vllm.score(reference.ids, chosen, len(reference.prompt))
        written = await writer.write(reference.prompt, reference.lora, len(reference.tokens))
        scores.append(
            Score(
                logprob_error=_error([logprob for logprob, _ in told], reference.logprobs),
                agreement=mean(first for _, first in told),
                greedy=_share(written, reference.tokens),
            )
        )
    return scores


def summarize(name: str, references: Sequence[Reference], scores: Sequence[Score]) -> list[Row]:
    """One row for the base, one for the LoRAs."""
    rows: list[Row] = []
    for kind, is_kind in (("base", True), ("LoRA", False)):
        chosen = [s for s, r in zip(scores, references, strict=True) if (r.lora is None) is is_kind]
        logits = [s.logit_error for s in chosen if s.logit_error is not None]
        rows.append(
            {
                "candidate": name,
                "weights": kind,
                "logit error": f"{mean(logits):.2%}" if logits else "not told",
                "logprob error, nats": round(mean(s.logprob_error for s in chosen), 4),
                "first choice agrees": f"{mean(s.agreement for s in chosen):.1%}",
                "greedy token agrees": f"{mean(s.greedy for s in chosen):.1%}",
            }
        )
    return rows


def find_faults(rows: Sequence[Row]) -> list[str]:
    """Candidates that are half as far off with a LoRA as if it had been left out; `rows[0]` is that one."""
    left_out, *candidates = rows
    limit = _NEAR * float(str(left_out["logprob error, nats"]))
    return [
        f"{row['candidate']}: with a LoRA its log probabilities are off by {row['logprob error, nats']} nats, "
        f"{left_out['logprob error, nats']} without; the LoRA isn't applied rightly"
        for row in candidates
        if row["weights"] == "LoRA" and float(str(row["logprob error, nats"])) > limit
    ]


async def measure_effect(model: Any, references: Sequence[Reference]) -> Row:
    """How far the base alone is from what the LoRAs wrote: an error of this size means that they weren't applied."""
    by_lora = [r for r in references if r.lora is not None]
    bare = [_logits(model, r.ids, None, len(r.prompt)) for r in by_lora]
    pairs = list(zip(bare, by_lora, strict=True))
    error = mean(float((b - r.logits).square().mean().sqrt() / r.logits.square().mean().sqrt()) for b, r in pairs)
    return {
        "candidate": "reference with the LoRA left out",
        "weights": "LoRA",
        "logit error": f"{error:.2%}",
        "logprob error, nats": round(mean(_error(_pick(b, r.tokens), r.logprobs) for b, r in pairs), 4),
        "first choice agrees": f"{mean(_share(b.argmax(-1).tolist(), r.tokens) for b, r in pairs):.1%}",
        "greedy token agrees": "",
    }


def _logits(model: Any, ids: Sequence[int], lora: int | None, first: int) -> torch.Tensor:
    """The logits of every token from `first` on, as 32-bit floats on the CPU."""
    names = {} if lora is None else {"adapter_names": [str(lora)]}
    context = model.disable_adapter() if lora is None else torch.inference_mode()
    with torch.inference_mode(), context:
        logits = model(input_ids=torch.tensor([ids], device=model.device), **names).logits
    return torch.as_tensor(logits[0, first - 1 : -1]).float().cpu()


def _pick(logits: torch.Tensor, tokens: Sequence[int]) -> list[float]:
    scored = torch.log_softmax(logits, -1)
    return [float(scored[place, token]) for place, token in enumerate(tokens)]


def _error(found: Sequence[float], meant: Sequence[float]) -> float:
    return mean(abs(a - b) for a, b in zip(found, meant, strict=True))


def _share(found: Sequence[int], meant: Sequence[int]) -> float:
    return mean(a == b for a, b in zip(found, meant, strict=True))
