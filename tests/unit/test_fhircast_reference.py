"""docs/reference/fhircast.md says what the code does."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import radbridge_adapters.fhircast as package
from radbridge_adapters.fhircast.content import MOST_RESOURCES
from radbridge_adapters.fhircast.contexts import LARGEST
from radbridge_adapters.fhircast.dialect import Dialect, find_dialect
from radbridge_adapters.fhircast.session import MOST_OPEN, REMEMBERED

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "fhircast.md").read_text()
SOURCE = "\n".join(path.read_text() for path in Path(package.__file__).parent.rglob("*.py"))


def test_every_dialect_is_told_of_as_it_is() -> None:
    """The table of dialects has every one of `dialects.toml`, with what it does."""
    told = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT.partition("## Dialects")[2], re.MULTILINE))
    names = tomllib.loads((files(package) / "dialects.toml").read_text(encoding="utf-8"))
    assert told.keys() == names.keys()
    for name, cells in told.items():
        version, method, fhir, linked = cells.split(" | ")
        assert find_dialect(name) == Dialect(
            needs_version=version == "refused",
            post_is_put=method == "read as PUT",
            fhir="R5" if fhir == "R5" else "R4",
            link_result=linked.startswith("yes"),
        )


def test_every_status_is_told_of() -> None:
    """Each status that a request can be refused with stands in the table of refusals."""
    table = TEXT.partition("| refused | status |")[2].partition("\n\n")[0]
    raised = {int(code) for code in re.findall(r"CastFault\(\s*(\d{3})\b", SOURCE)}
    assert raised - {403, 404, 405} <= {int(code) for code in re.findall(r"\b(\d{3})\b", table)}


def test_the_bounds_are_those_of_the_code() -> None:
    """The numbers that bound a session are those of the code."""
    assert f"more than {MOST_RESOURCES} resources" in TEXT
    assert f"a session over {LARGEST // 2**20} MiB" in TEXT
    assert f"of the last {REMEMBERED} of a session" in TEXT
    assert (MOST_OPEN, "sixteen at most" in TEXT) == (16, True)
