"""The RIS of the demo: what it sends about one case, as HL7 v2.5.1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from radbridge_adapters.demo.script import DemoCase, DemoRadiologist
from radbridge_adapters.hl7v2.er7 import escape

_FINDINGS, _IMPRESSION = "59776-5^Findings^LN", "19005-8^Impression^LN"
_COMPARISON, _TECHNIQUE = "18834-2^Comparison^LN", "55111-9^Technique^LN"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ris:
    """Writes the messages of one accession. `number` makes accession, patient and control ids unique."""

    case: DemoCase
    signer: DemoRadiologist
    number: int

    @property
    def accession(self) -> str:
        """The accession number of this run of the case."""
        return f"DEMO{self.number:05d}"

    def order(self) -> bytes:
        """ORM^O01: the study is ordered."""
        return self._message("ORM^O01", "O", f"ORC|NW|{self.accession}|{self.accession}", self._obr(status=""))

    def dictate(self) -> bytes:
        """ORU^R01, OBR-25 `R`: dictated and not yet verified."""
        return self._report("D", "R", self._sections())

    def sign(self, impression: str) -> bytes:
        """ORU^R01, OBR-25 `F`: signed, with `impression`."""
        return self._report("F", "F", [*self._sections(), *((_IMPRESSION, line) for line in impression.splitlines())])

    def _sections(self) -> list[tuple[str, str]]:
        case = self.case
        lines = [(_FINDINGS, line) for line in case.findings.splitlines()]
        return [(_TECHNIQUE, case.technique), (_COMPARISON, case.comparison), *lines]

    def _report(self, tag: str, status: str, sections: list[tuple[str, str]]) -> bytes:
        return self._message(
            "ORU^R01^ORU_R01",
            tag,
            f"ORC|RE|{self.accession}|{self.accession}",
            self._obr(status=status),
            *(f"OBX|{n}|TX|{code}|{n}|{escape(text)}||||||{status}" for n, (code, text) in enumerate(sections, 1)),
        )

    def _message(self, kind: str, tag: str, *segments: str) -> bytes:
        return "\r".join([*self._head(kind, tag), *segments, ""]).encode()

    def _head(self, kind: str, tag: str) -> Iterator[str]:
        case, now = self.case, f"{datetime.now(UTC):%Y%m%d%H%M%S}+0000"
        control_id = f"{self.accession}{tag}"
        yield f"MSH|^~\\&|DEMORIS|HOSP|RADBRIDGE|HOSP|{now}||{kind}|{control_id}|P|2.5.1||||||UNICODE UTF-8"
        yield f"PID|1||{900000 + self.number}^^^HOSP^MR||{case.patient}||{case.born}0615|{case.sex}"
        yield f"PV1|1|{case.patient_class}"

    def _obr(self, *, status: str) -> str:
        case, number = self.case, self.accession
        at = f"{datetime.now(UTC):%Y%m%d%H%M%S}+0000"
        signer = f"{self.signer.id}&{self.signer.name.replace('^', '&')}" if status else ""
        fields = {
            1: "1", 2: number, 3: number, 4: f"{case.code}^{escape(case.procedure)}^C4", 7: at, 18: number, 22: at,
            24: case.modality, 25: status, 31: f"^{escape(case.reason)}", 32: signer,
        }  # fmt: skip
        return "|".join(["OBR", *(fields.get(i, "") for i in range(1, 33))]).rstrip("|")
