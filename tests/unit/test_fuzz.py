"""The fuzz targets, a hundred bad inputs each; `make fuzz` goes on for as long as it is given."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutating import mutate_json
from tests.fuzz.targets import TARGETS

EXAMPLES = 100
FOUND = [
    ("fhir", b'{"resourceType": "Bundle", "type": ["batch"], "entry": [{"request": {}}]}'),  # TypeError in bdl-3
    ("fhir", b'{"resourceType": "Observation", "valueInteger": 1e9999999999999999999}'),  # InvalidOperation
    ("fhircast", b'{"id": "1", "timestamp": 1e-9999999999999999999}'),
]
"""What `make fuzz` found, cut down to what matters."""


@st.composite
def spoiled(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with pieces cut out, doubled, overwritten or put in; or bytes of no descent."""
    data = draw(st.one_of(st.sampled_from(seeds), st.sampled_from(seeds), st.binary(max_size=200)))
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        what = draw(st.one_of(st.just(b""), st.just(data[at : at + length] * 2), st.binary(max_size=12)))
        data = data[:at] + what + data[at + length :]
    return data


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_any_bytes_have_an_answer(name: str) -> None:
    """Whatever bytes a wire brings, they are read within bounds and answered, or refused with a documented fault."""
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(data=spoiled(list(target.seeds)))
    def hold(data: bytes) -> None:
        target.run(data)

    for seed in target.seeds:
        target.run(seed)
    hold()


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_once(name: str, data: bytes) -> None:
    """An input that broke a reader before has an answer now."""
    TARGETS[name].run(data)


@given(seed=st.integers(0, 2**32), rounds=st.integers(1, 20))
@settings(max_examples=50)
def test_documents_stay_documents(seed: int, rounds: int) -> None:
    """A document that is changed again and again stays JSON, and no longer than it may be."""
    seeds = TARGETS["fhir"].seeds
    raw = seeds[seed % len(seeds)]
    for round_ in range(rounds):
        raw = mutate_json(raw, 20_000, seed + round_, seeds) or raw
    assert len(raw) <= 20_000
    json.loads(raw)
