"""The RIS's messages about a generated case. All of it is invented."""

from __future__ import annotations

from radbridge_adapters.hl7v2.er7 import escape
from radbridge_training.synth import SynthReport
from tests.bench.loop.people import Signer

_FINDINGS, _IMPRESSION = "59776-5^Findings^LN", "19005-8^Impression^LN"
_COMPARISON = "18834-2^Comparison^LN"
YEAR = 2026
_UTF_8 = "||||||UNICODE UTF-8"


class Ris:
    """The messages of one case: the order, the dictated report, the signed one."""

    def __init__(self, signer: Signer, number: int, case: SynthReport) -> None:
        self.accession = signer.accession(number)
        self._signer = f"{signer.id}^{signer.name}"
        self._patient = f"P{self.accession}"
        self._case = case

    def order(self) -> bytes:
        """ORM^O01."""
        return self._join("ORM^O01", "O", f"ORC|NW|{self.accession}|{self.accession}", self._obr(""))

    def dictated(self) -> bytes:
        """ORU^R01, not verified."""
        return self._report("R")

    def signed(self, impression: str, *, status: str = "F") -> bytes:
        """ORU^R01, final."""
        return self._report(status, impression)

    def _report(self, status: str, impression: str = "") -> bytes:
        sections = ((_FINDINGS, self._case.findings), (_COMPARISON, self._case.comparison), (_IMPRESSION, impression))
        obx = (
            f"OBX|{n}|TX|{code}|{n}|{_write(text)}||||||{status}"
            for n, (code, text) in enumerate((s for s in sections if s[1]), 1)
        )
        orc = f"ORC|RE|{self.accession}|{self.accession}"
        return self._join("ORU^R01^ORU_R01", status, orc, self._obr(status), *obx)

    def _obr(self, status: str) -> str:
        signer = self._signer.replace("^", "&")
        fields = {
            1: "1",
            2: self.accession,
            3: self.accession,
            4: f"X^{escape(self._case.study)}^L",
            7: f"{YEAR}0301090000",
            18: self.accession,
            22: f"{YEAR}0301093000",
            24: self._case.modality,
            25: status,
            31: f"^{escape(self._case.indication)}" if self._case.indication else "",
            32: signer,
        }
        return "|".join(("OBR", *(fields.get(n, "") for n in range(1, max(fields) + 1))))

    def _join(self, kind: str, tag: str, *segments: str) -> bytes:
        msh = f"MSH|^~\\&|RIS|HOSP|RADBRIDGE|HOSP|{YEAR}0301093000||{kind}|{self.accession}{tag}|P|2.5.1{_UTF_8}"
        pid = f"PID|1||{self._patient}^^^HOSP^MR||DOE^J||{YEAR - self._case.age}0101|{self._case.sex}"
        return "\r".join((msh, pid, "PV1|1|O", *segments, "")).encode()


def _write(text: str) -> str:
    """A text for one field: lines end as HL7 writes it."""
    return "\\.br\\".join(escape(line) for line in text.split("\n"))
