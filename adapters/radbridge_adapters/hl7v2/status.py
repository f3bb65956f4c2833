"""What report states mean: HL7's tables, and a RIS's own habits over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

OBR_25, OBX_11, TXA_17, TXA_19 = "OBR-25", "OBX-11", "TXA-17", "TXA-19"


class Meaning(StrEnum):
    """What a state says about a report."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"


MEANINGS: Mapping[str, Mapping[str, Meaning]] = {
    # Table 0123. `R` is stored and not verified; `P` is verified and early, and still to be signed.
    OBR_25: dict.fromkeys("OISAPRMN", Meaning.UNSIGNED)
    | {"F": Meaning.SIGNED, "C": Meaning.CORRECTED, "X": Meaning.WITHDRAWN},
    # Table 0085. `U`: now final, the text is not sent again.
    OBX_11: dict.fromkeys("RPSIAON", Meaning.UNSIGNED)
    | {"F": Meaning.SIGNED, "U": Meaning.SIGNED, "C": Meaning.CORRECTED}
    | dict.fromkeys("WDX", Meaning.WITHDRAWN),
    # Table 0271.
    TXA_17: dict.fromkeys(("DI", "DO", "IP", "IN", "PA"), Meaning.UNSIGNED)
    | dict.fromkeys(("AU", "LA"), Meaning.SIGNED),
    # Table 0273.
    TXA_19: dict.fromkeys(("OB", "CA"), Meaning.WITHDRAWN),
}

REASONS = {
    (OBR_25, "X"): "not_obtainable",
    (OBX_11, "W"): "wrong_patient",
    (OBX_11, "D"): "deleted",
    (OBX_11, "X"): "not_obtainable",
    (TXA_19, "OB"): "document_cancelled",
    (TXA_19, "CA"): "document_cancelled",
}
"""`ReportWithdrawn.reason`; a state that only the site's table calls withdrawn is `deleted`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The state of a report as one message tells it."""

    meaning: Meaning
    reason: str = ""
    """Why it was withdrawn."""


class StatusTable:
    """HL7's tables with the site's entries over them (`OBR-25.P` -> `signed`)."""

    def __init__(self, habits: Mapping[str, str]) -> None:
        self._habits = {key: Meaning(meaning) for key, meaning in habits.items()}

    def look_up(self, place: str, code: str) -> Verdict | None:
        """What `code` means in that field; None when it is empty or unknown."""
        code = code.strip().upper()
        meaning = self._habits.get(f"{place}.{code}") or MEANINGS[place].get(code)
        if meaning is None:
            return None
        reason = REASONS.get((place, code), "deleted") if meaning is Meaning.WITHDRAWN else ""
        return Verdict(meaning=meaning, reason=reason)

    def judge_result(self, result_status: str, observation_states: Sequence[str]) -> Verdict | None:
        """A report's state from OBR-25 and the OBX-11 of its text; None when the message tells none.

        One OBX posted as wrong (`W`) withdraws the report, and so do all of them deleted or not obtainable. `U` on all
        is an explicit sign-off. Else OBR-25 decides where it is valued: many senders leave OBX-11 at `F` for ever.
        """
        seen = [verdict for code in observation_states if (verdict := self.look_up(OBX_11, code))]
        for verdict in seen:
            if verdict.reason == "wrong_patient" or (verdict.reason and all(v.reason for v in seen)):
                return verdict
        whole = self.look_up(OBR_25, result_status)
        signed_off = bool(observation_states) and all(code.strip().upper() == "U" for code in observation_states)
        kept = [verdict.meaning for verdict in seen if not verdict.reason]
        if whole is None or (signed_off and whole.meaning is Meaning.UNSIGNED):
            return _join(kept)
        if whole.meaning is Meaning.SIGNED and Meaning.CORRECTED in kept:
            return Verdict(meaning=Meaning.CORRECTED)
        return whole

    def judge_document(self, completion: str, availability: str) -> Verdict:
        """A document's state from TXA-17 and TXA-19; unsigned when it tells none."""
        available = self.look_up(TXA_19, availability)
        if available and available.meaning is Meaning.WITHDRAWN:
            return available
        return self.look_up(TXA_17, completion) or Verdict(meaning=Meaning.UNSIGNED)


def _join(meanings: Sequence[Meaning]) -> Verdict | None:
    if not meanings:
        return None
    if Meaning.UNSIGNED in meanings:
        return Verdict(meaning=Meaning.UNSIGNED)
    return Verdict(meaning=Meaning.CORRECTED if Meaning.CORRECTED in meanings else Meaning.SIGNED)
