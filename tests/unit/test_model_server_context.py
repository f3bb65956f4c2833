"""Prompts that fit the model's context."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radbridge.example import StyleExample
from radbridge.prompt import PromptInput, build_prompt
from radbridge_model_server.drafts.context import Fitted, fit_prompt

sentences = st.lists(st.integers(0, 999), min_size=1, max_size=60).map(lambda ns: [f"Finding {n} is seen." for n in ns])


def count(text: str) -> int:
    return len(text.split())


def test_a_prompt_that_fits_is_left_alone() -> None:
    """Nothing is cut, not even white space, when everything fits."""
    case = PromptInput(findings="One.  Two.", indication="Cough.", coarse="One.")
    assert fit_prompt(case, count=count, limit=100) == Fitted(text=build_prompt(case), cut=False)


@given(sentences, st.integers(20, 400))
def test_what_is_cut_fits_and_loses_only_the_middle(findings: list[str], limit: int) -> None:
    """A cut prompt is within the limit, and its findings are a beginning and an end of the whole ones, in order."""
    case = PromptInput(findings=" ".join(findings), indication="Cough.", coarse="Finding 1 is seen.")
    fitted = fit_prompt(case, count=count, limit=limit)
    prompt, cut = fitted.text, fitted.cut
    assert count(prompt) <= limit
    assert cut == (count(build_prompt(case)) > limit)
    kept = [line for line in prompt.splitlines() if line.startswith("Findings: ")]
    kept_sentences = kept[0].removeprefix("Findings: ").replace(". ", ".\n").splitlines() if kept else []
    head = next(
        (n for n, (a, b) in enumerate(zip(kept_sentences, findings, strict=False)) if a != b), len(kept_sentences)
    )
    tail = kept_sentences[head:]
    assert not tail or findings[-len(tail) :] == tail
    assert "Preliminary: Finding 1 is seen." in prompt
    assert prompt.endswith("Impression:\n")


def test_as_much_is_kept_as_fits() -> None:
    """One more sentence would not have fitted; two of three kept ones are from the beginning."""
    findings = " ".join(f"Finding {n} is seen." for n in range(30))
    fitted = fit_prompt(PromptInput(findings=findings, coarse="x"), count=count, limit=44)
    assert fitted.cut
    assert [n for n in range(30) if f"Finding {n} " in fitted.text] == [*range(7), 27, 28, 29]


def test_only_findings_are_cut() -> None:
    """A prompt that is too long without findings comes back whole but for them; the engine refuses it with numbers."""
    case = PromptInput(findings="One. Two.", coarse="word " * 50)
    fitted = fit_prompt(case, count=count, limit=10)
    assert fitted.cut
    assert "Findings" not in fitted.text
    assert count(fitted.text) > 10


def test_what_is_no_finding_leaves_first() -> None:
    """Examples leave, the least alike first; then style, the farthest first; then the prior; findings stay whole."""
    examples = tuple(StyleExample(id=f"m{n}", impression=f"Signed {n}.") for n in range(3))
    case = PromptInput(
        findings="One. Two.", comparison="CT.", prior="Much.", style=("Far.", "Near."), examples=examples, coarse="x"
    )
    fitted, seen = fit_prompt(case, count=count, limit=100), list[tuple[tuple[str, ...], int, bool]]()
    for limit in range(count(fitted.text), 0, -1):
        fitted = fit_prompt(case, count=count, limit=limit)
        if fitted.cut:
            break
        assert "Findings: One. Two." in fitted.text
        seen.append((fitted.examples, fitted.text.count("Style: "), "Much." in fitted.text))
    assert list(dict.fromkeys(seen)) == [
        (("m0", "m1", "m2"), 2, True),
        (("m0", "m1"), 2, True),
        (("m0",), 2, True),
        ((), 2, True),
        ((), 1, True),
        ((), 0, True),
        ((), 0, False),
    ]
    assert "Near." in fit_prompt(case, count=count, limit=count(build_prompt(case)) - 7).text
