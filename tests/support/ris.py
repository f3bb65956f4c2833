"""Messages as a RIS writes them. Everything in them is made up."""

from __future__ import annotations

from dataclasses import dataclass

FINDINGS = (
    "The heart is normal in size. There is a 6 mm nodule in the right upper lobe. "
    "There is a small left pleural effusion. No pneumothorax."
)


@dataclass(frozen=True, kw_only=True)
class Ris:
    """One accession's messages. Every control id is used once."""

    accession: str
    mrn: str = "900001"
    name: str = "DOE^JANE^Q"
    signer: str = "1001^HOUSE^GREGORY"
    prefix: str = "RIS"

    def order(self, *, control: str = "NW", reason: str = "Cough, rule out pneumonia") -> bytes:
        """ORM^O01."""
        return _join(
            self._msh("ORM^O01", f"O{control}"),
            self._pid(),
            "PV1|1|O",
            f"ORC|{control}|{self.accession}|{self.accession}",
            f"OBR|1|{self.accession}|{self.accession}|71260^CT CHEST W CONTRAST^C4|||20260301090000|||||||||||"
            f"{self.accession}||||||CT|||||||^{reason}",
        )

    def dictated(self, findings: str = FINDINGS, *, save: int = 1, status: str = "R") -> bytes:
        """ORU^R01 of an unsigned report, one OBX with the findings."""
        return self._report("D", save, status, ("59776-5^Findings^LN", findings))

    def signed(self, impression: str, findings: str = FINDINGS, *, status: str = "F", save: int = 1) -> bytes:
        """ORU^R01 of a signed report."""
        return self._report(
            status, save, status, ("59776-5^Findings^LN", findings), ("19005-8^Impression^LN", impression)
        )

    def wrong_patient(self) -> bytes:
        """ORU^R01 that takes the report back (OBX-11 `W`)."""
        return self._report("W", 1, "R", ("59776-5^Findings^LN", ""), observation_status="W")

    def merge(self, survivor: str) -> bytes:
        """ADT^A40: this patient's record goes into the survivor's."""
        return _join(
            self._msh("ADT^A40^ADT_A39", "A40"),
            "EVN|A40|20260301100000",
            f"PID|1||{survivor}^^^HOSP^MR||{self.name}||19700101|F",
            f"MRG|{self.mrn}^^^HOSP^MR",
        )

    def _report(
        self, tag: str, save: int, status: str, *sections: tuple[str, str], observation_status: str = ""
    ) -> bytes:
        return _join(
            self._msh("ORU^R01^ORU_R01", f"{tag}{save}"),
            self._pid(),
            "PV1|1|O",
            f"ORC|RE|{self.accession}|{self.accession}",
            f"OBR|1|{self.accession}|{self.accession}|71260^CT CHEST W CONTRAST^C4|||20260301090000|||||||||||"
            f"{self.accession}||||20260301093000||CT|{status}|||||||{self.signer.replace('^', '&')}",
            *(
                f"OBX|{n}|TX|{code}||{text}||||||{observation_status or status}"
                for n, (code, text) in enumerate(sections, 1)
            ),
        )

    def _msh(self, kind: str, tag: str) -> str:
        control_id = f"{self.prefix}{self.accession}{tag}"
        return f"MSH|^~\\&|RIS|HOSP|RADBRIDGE|HOSP|20260301093000||{kind}|{control_id}|P|2.5.1"

    def _pid(self) -> str:
        return f"PID|1||{self.mrn}^^^HOSP^MR||{self.name}||19700101|F|||1 MAIN ST^^SPRINGFIELD||555-0100"


def _join(*segments: str) -> bytes:
    return "\r".join((*segments, "")).encode()
