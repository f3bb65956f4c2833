"""What happens on a day of a department: 2,000 studies over three shifts, with the bursts that every day has."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.ris import Ris

STUDIES = 2_000
HOURS = 24
SHIFTS = ((8, 0.3), (16, 1.5), (24, 0.7))
"""Night, day, evening: until which hour, and how busy."""
BURSTS = ((7.5, 60), (13.0, 80), (19.5, 60))
"""At which hour, and how many orders within five minutes: a clinic's list, an interface that was down."""
RADIOLOGISTS = ("1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012")

SENTENCES = (
    "The heart is normal in size.",
    "There is a small left pleural effusion.",
    "No pneumothorax.",
    "The bones are intact.",
    "The mediastinum is unremarkable.",
    "There is mild dependent atelectasis.",
    "The liver is homogeneous.",
    "No free fluid is seen.",
    "The kidneys enhance symmetrically.",
    "There is no lymphadenopathy.",
    "The airways are patent.",
    "The aorta is not dilated.",
)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Sending:
    """One message and when it goes out."""

    at_h: float
    """Hours after midnight."""
    accession: str
    raw: bytes


def write_day(seed: int, studies: int = STUDIES) -> Sequence[Sending]:
    """Every message of the day, in order: orders, saves while dictating, signed reports."""
    chance = random.Random(seed)
    burst = [hour + chance.uniform(0, 1 / 12) for hour, count in BURSTS for _ in range(count * studies // STUDIES)]
    starts = [chance.choices(range(3), [0.3 * 8, 1.5 * 8, 0.7 * 8])[0] for _ in range(studies - len(burst))]
    begun = sorted(burst + [8 * shift + chance.uniform(0, 8) for shift in starts])
    told = [sending for number, at_h in enumerate(begun) for sending in _study(number, at_h, chance)]
    return sorted(s for s in told if s.at_h < HOURS)


def _study(number: int, at_h: float, chance: random.Random) -> Sequence[Sending]:
    signer = RADIOLOGISTS[4 * (int(at_h) // 8 % 3) + chance.randrange(4)]
    ris = Ris(accession=f"D{number:06d}", mrn=str(900_000 + number // 2), signer=f"{signer}^HOUSE^GREGORY", prefix="")
    told, moment = [Sending(at_h=at_h, accession=ris.accession, raw=ris.order())], at_h + chance.uniform(0.2, 0.8)
    text = " ".join(chance.sample(SENTENCES, 4))
    for save in range(1, chance.randint(1, 3) + 1):
        text = f"{text} There is a {chance.randint(2, 12)} mm nodule in the right upper lobe."
        told.append(Sending(at_h=moment, accession=ris.accession, raw=ris.dictated(text, save=save)))
        moment += chance.uniform(0.02, 0.1)
    told.append(
        Sending(at_h=moment + 0.05, accession=ris.accession, raw=ris.signed("Nodule in the right upper lobe.", text))
    )
    return told
