"""Identifiers out of report text, before it becomes an example (rule 5).

Two nets, in one pass over the text. What PID, PV1 and OBR told about this patient is looked for first, in any order,
case and spelling that dictation makes of it. Then come patterns that identify anybody: phones, numbers like an MRN,
titles with a name. Dates are not dropped but moved by a number of days that belongs to the patient, so that "two weeks
after" stays true. In doubt a word goes: a placeholder costs training little, a name costs trust.

The one thing in doubt that stays is an ordinary word that is also a name. A patient called Stone still has stones: such
a word is a name after a title, beside another part of the name, before what only people do, and wherever it is
capitalised inside a sentence; otherwise it is a word.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from radbridge.case import Order, Patient
from radbridge.namesakes import EPONYM_NOUN, EPONYMS, GIVEN, NO_PERSON, NOBODY, ONLY_PEOPLE_DO, ORDINARY

OLDEST_AGE = 90
"""Ages over 89 become this one (45 CFR 164.514(b)(2)(i)(C))."""
PROCESS_KEY = secrets.token_bytes(32)
"""The key where a site gives none: then dates move differently in every run."""

NAME, ID, PHONE, DATE, ADDRESS, CONTACT = "[NAME]", "[ID]", "[PHONE]", "[DATE]", "[ADDRESS]", "[CONTACT]"
PLACEHOLDER = re.compile("|".join(map(re.escape, (NAME, ID, PHONE, DATE, ADDRESS, CONTACT))))

_SPLIT_NAME = re.compile(r"[\s^,&~;./()]+")
_NO_NAME = frozenset(
    "dr mr mrs ms miss prof md do phd rn np pa jr sr ii iii iv van von der den del della dos the and".split()
)

_TITLE = (
    r"(?:\b(?:(?:dr|mr|mrs|ms|miss|prof|doctor|professor|nurse)\b[.:]?\s+"
    r"|(?:patient|pt|name|named)\b[.:]?\s+(?-i:(?=[A-Z]))))"
)
_PERSON_DOES = (
    r"(?=(?:['’]s)?,?\s+(?:was seen|is an?|was an?|presents|presented|returns|returned|reports|reported|complains"
    r"|complained|denies|states|has had|had|underwent|fell|called|md|do|rn|np)\b)"
)
_STREET = {
    "street": "st", "avenue": "ave", "road": "rd", "drive": "dr", "lane": "ln", "boulevard": "blvd", "court": "ct",
    "place": "pl", "square": "sq", "highway": "hwy", "parkway": "pkwy", "apartment": "apt", "suite": "ste",
}  # fmt: skip
_STREETS = "|".join(word.capitalize() for pair in _STREET.items() for word in pair)

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = r"(?P<month>" + "|".join(f"{m[:3]}(?:{m[3:]})?" if len(m) > 3 else m for m in _MONTHS) + r"|sept)\.?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of the text, and what to put there."""

    start: int
    end: int
    instead: str = field(repr=False)


Detector = Callable[[str], Iterator[Span]]


def scrub(
    text: str, *, patient: Patient, order: Order | None = None, others: Iterable[str] = (), key: bytes = PROCESS_KEY
) -> str:
    """`text` without what identifies the patient or anyone else.

    `others` are names and numbers that belong to the case besides: its accession, its radiologists. Placeholders are
    `[NAME]`, `[ID]`, `[PHONE]`, `[DATE]`, `[ADDRESS]` and `[CONTACT]`. `key` moves the dates; the same key and patient
    move them by the same days.
    """
    others = tuple(others)
    numbers = (
        patient.id,
        *patient.other_ids,
        *((order.placer, order.filler) if order else ()),
        *filter(_has_digit, others),
    )
    detectors: list[Detector] = [
        *_known_numbers(numbers),
        *_known_phones(patient.phones),
        *_CONTACTS,
        _dates(patient.birth_date, timedelta(days=-_days(patient, key))),
        *_known_address(patient.address),
        *_known_names((patient.name, *(o for o in others if not _has_digit(o)))),
        *_ANYBODY,
    ]
    return _replace(text, detectors)


def find_patient(text: str, *, patient: Patient, numbers: Iterable[str] = ()) -> list[Span]:
    """Where `text` says who the patient is: `[NAME]`, `[ID]` (one of `numbers`, too) or `[DATE]` of birth."""
    detectors: list[Detector] = [
        *_known_numbers((patient.id, *patient.other_ids, *numbers)),
        *_known_names((patient.name,)),
        *([_dates(patient.birth_date, timedelta(0))] if patient.birth_date else ()),
    ]
    return [s for s in _take(_fold(text), detectors) if s.instead in {NAME, ID, DATE}]


def find_anybody(text: str) -> list[Span]:
    """Where `text` has what patients are told by, whoever they are: `[NAME]`, `[ID]` or `[DATE]` of birth.

    A number after `MRN` and its like, a name after `Ms.` or `patient name`, a date after `born`. No colleague: reports
    name referrers.
    """
    return _take(_fold(text), _PATIENTS)


def find_names(text: str) -> frozenset[str]:
    """The names that `text` itself shows to be some: after a title or a role, before a degree, where somebody acts."""
    folded = _fold(text)
    found = (folded[s.start : s.end] for s in _take(folded, _ANYBODY) if s.instead == NAME)
    return frozenset(name for name in found if NO_PERSON.isdisjoint(re.findall(r"\w+", name.lower())))


def _replace(text: str, detectors: Iterable[Detector]) -> str:
    """`text` with every detector's spans replaced."""
    parts: list[str] = []
    at = 0
    for span in _take(_fold(text), detectors):
        parts += text[at : span.start], span.instead
        at = span.end
    return "".join([*parts, text[at:]])


def _take(folded: str, detectors: Iterable[Detector]) -> list[Span]:
    """Every detector's spans, in the order of the text.

    Where two overlap they become one if both say the same, else the earlier detector's stands.
    """
    taken: list[Span] = []
    for span in (s for detect in detectors for s in detect(folded)):
        met = [t for t in taken if span.start < t.end and t.start < span.end]
        if all(t.instead == span.instead for t in met):
            start, end = min(s.start for s in (span, *met)), max(s.end for s in (span, *met))
            taken = [t for t in taken if t not in met] + [Span(start=start, end=end, instead=span.instead)]
    return sorted(taken, key=lambda s: s.start)


def _fold(text: str) -> str:
    """`text` letter by letter without accents, so that Müller is found as Muller. The length stays."""
    return text if text.isascii() else "".join(unicodedata.normalize("NFD", c)[0] for c in text)


def _has_digit(text: str) -> bool:
    return any(c.isdigit() for c in text)


def _days(patient: Patient, key: bytes) -> int:
    """How far this patient's dates move: two weeks to three years."""
    who = "\n".join((patient.issuer, patient.id or f"{patient.name}\n{patient.birth_date}"))
    return 14 + int.from_bytes(hmac.new(key, who.encode(), hashlib.sha256).digest()[:4]) % 1082


def _find(pattern: str | re.Pattern[str], instead: str, flags: re.RegexFlag = re.IGNORECASE) -> Detector:
    """A detector for a pattern: its group `what`, or all of it."""
    compiled = re.compile(pattern, flags) if isinstance(pattern, str) else pattern
    group = "what" if "what" in compiled.groupindex else 0

    def detect(text: str) -> Iterator[Span]:
        return (Span(start=m.start(group), end=m.end(group), instead=instead) for m in compiled.finditer(text))

    return detect


def _known_numbers(numbers: Iterable[str]) -> Iterator[Detector]:
    for number in sorted({n.split("^")[0] for n in numbers}, key=len, reverse=True):
        bare = re.sub(r"[\W_]+", "", _fold(number))
        if len(bare) >= 4 and _has_digit(bare):
            gap = r"[-\s/.]?" if len(bare) >= 6 else ""
            yield _find(rf"(?<![a-z0-9])0*{gap.join(map(re.escape, bare.lstrip('0') or bare))}(?![a-z0-9])", ID)


def _known_phones(phones: Iterable[str]) -> Iterator[Detector]:
    for digits in ("".join(filter(str.isdigit, p)) for p in phones):
        if len(digits) >= 7:
            gap = r"[-\s().]{0,2}"
            local = gap.join(digits[-7:])
            area = "".join(f"{d}{gap}" for d in digits[:-7])
            yield _find(rf"(?<!\d)\+?\(?(?:{area})?{local}(?!\d)", PHONE)


def _known_address(address: str) -> Iterator[Detector]:
    for part in re.split(r"[\^,;\n]+", _fold(address)):
        words = re.findall(r"\w+", part)
        if len(words) > 1 and sum(map(len, words)) >= 6:
            yield _find(r"\b" + r"[\s,.#]+".join(map(_any_street, words)) + r"\b", ADDRESS)
        elif len(words) == 1 and words[0].isdigit() and len(words[0]) >= 5:
            yield _find(rf"(?<!\d){words[0]}(?:-\d{{4}})?(?!\d)", ADDRESS)
        elif len(words) == 1 and len(words[0]) >= 4:
            yield from _known_word(words[0], ADDRESS)


def _any_street(word: str) -> str:
    full = {short: long for long, short in _STREET.items()}.get(word.lower(), word.lower())
    return f"(?:{full}|{_STREET[full]})" if full in _STREET else re.escape(word)


def _known_names(names: Iterable[str]) -> Iterator[Detector]:
    for name in names:
        parts = [p for p in _SPLIT_NAME.split(_fold(name)) if p and p.lower() not in _NO_NAME]
        if not parts:
            continue
        full = "|".join(sorted((_spellings(p) for p in parts), key=len, reverse=True))
        if len(parts) > 1:
            # "Jane Q. Doe", "DOE, JANE", "Doe^Jane": in a row they are a name, whatever words they are.
            row = rf"(?:(?:[\s,.^]+|-)(?:{full}|(?-i:[A-Z])\b))*(?:[\s,.^]+|-)(?:{full})(?!\w)"
            yield _find(rf"(?<!\w)(?:{full}){row}", NAME)
        pieces = {piece for p in parts for piece in (p, *re.split(r"['’-]", p)) if len(piece) >= 3}
        for piece in sorted(pieces, key=len, reverse=True):
            yield from _known_word(piece, NAME)
        for short in (p for p in parts if len(p) == 2):
            yield _find(rf"{_TITLE}(?P<what>{re.escape(short)})\b", NAME)


def _spellings(part: str) -> str:
    """O'Brien, OBrien and O Brien; Smith-Jones and Smith Jones."""
    return r"['’\s-]?".join(map(re.escape, re.split(r"['’-]", part)))


def _known_word(word: str, instead: str) -> Iterator[Detector]:
    lower, spelled = word.lower(), _spellings(word)
    stays = rf"(?!{EPONYM_NOUN})" if lower in EPONYMS else ""
    if lower not in ORDINARY:
        yield _find(rf"(?<!\w){spelled}(?=(?:['’]?s)?(?!\w)){stays}", instead)
        return
    yield _find(rf"{_TITLE}(?P<what>{spelled})(?!\w){stays}", instead)
    yield _find(rf"(?<!\w)(?-i:(?=[A-Z])){spelled}{_PERSON_DOES}", instead)
    # Capitalised inside a sentence, where a lower-case word or a comma stands before it; "in May" is a month.
    month = r"(?<!\b[Ii]n\s)(?<!since\s)(?<!\bof\s)" if lower in _MONTHS else ""
    yield _find(rf"(?<=[a-z,]\s){month}{_spellings(word.capitalize())}(?!\w){stays}", instead, re.NOFLAG)
    yield _find(rf"(?<=[a-z]\s){month}{_spellings(word.upper())}(?!\w){stays}", instead, re.NOFLAG)


_DAY = r"(?P<d>\d{1,2}(?:st|nd|rd|th)?)"
_YEAR = r"(?P<y>(?:19|20)\d\d)"
_BORN = re.compile(r"\b(?:d\.?o\.?b\b\.?|date of birth|birth ?date|born(?:\s+on)?)\s*[:=,]?\s*", re.IGNORECASE)
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\d.]){_YEAR}(?P<s>[-/.])(?P<m>\d{{1,2}})(?P=s)(?P<d>\d{{1,2}})(?!\d)",
        rf"(?<![\d.]){_YEAR}(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?=\d{{4}}(?:\d\d)?\b|\b)",
        r"(?<![\d./-])(?P<a>\d{1,2})(?P<s>[-/.])(?P<b>\d{1,2})(?P=s)(?P<y>(?:19|20)?\d\d)(?![\d/]|\.\d|\s?[mc]m\b|\s?x\b)",
        rf"\b{_DAY}[\s-]+(?:of\s+)?{_MONTH},?[\s-]+{_YEAR}\b",
        rf"\b{_MONTH}\s+{_DAY},?\s+{_YEAR}\b",
        rf"\b{_MONTH},?\s+{_YEAR}\b",
        rf"(?<![\d/.])(?P<m>0?[1-9]|1[0-2])/{_YEAR}(?![\d/])",
    )
)


def _dates(born: date | None, shift: timedelta) -> Detector:
    def detect(text: str) -> Iterator[Span]:
        for match in (m for pattern in _DATES for m in pattern.finditer(text)):
            said = _read_date(match)
            if said:
                moved = DATE if born in said else _write_date(match, said[0] + shift)
                yield Span(start=match.start(), end=match.end(), instead=moved)

    return detect


def _birth_dates(text: str) -> Iterator[Span]:
    for end in (m.end() for m in _BORN.finditer(text)):
        match = next(filter(None, (pattern.match(text, end) for pattern in _DATES)), None)
        if match and _read_date(match):
            yield Span(start=match.start(), end=match.end(), instead=DATE)


def _read_date(match: re.Match[str]) -> list[date]:
    """What the date may mean, likeliest first: 3/4/2024 is the 4th of March, else the 3rd of April."""
    groups = match.groupdict()
    year = int(groups["y"])
    years = [year] if year > 99 else [2000 + year, 1900 + year]
    if groups.get("a"):
        a, b = int(groups["a"]), int(groups["b"])
        orders = [(a, b), (b, a)]
    else:
        day = re.sub(r"\D", "", groups.get("d") or "15")
        orders = [(int(groups["m"]) if groups.get("m") else _month(groups["month"]), int(day))]
    return [date(y, m, d) for m, d in orders for y in years if 1 <= m <= 12 and 1 <= d <= monthrange(y, m)[1]]


def _month(name: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, 1) if month.startswith(name[:3].lower()))


def _write_date(match: re.Match[str], moved: date) -> str:
    """`moved` in the form that the match has."""
    groups = match.groupdict()
    parts = {"y": moved.year % 100 if len(groups["y"]) == 2 else moved.year, "m": moved.month, "d": moved.day}
    if groups.get("a"):
        first, second = ("m", "d") if int(groups["a"]) <= 12 and int(groups["b"]) <= 31 else ("d", "m")
        parts |= {"a": parts[first], "b": parts[second]}
    said = {
        name: str(value).zfill(len(re.sub(r"\D", "", groups[name])))
        for name, value in parts.items()
        if groups.get(name)
    }
    if name := groups.get("month"):
        full = _MONTHS[moved.month - 1]
        written = full if len(name) > 4 else full[:3]
        said["month"] = written.upper() if name.isupper() else written.capitalize() if name[0].isupper() else written
    text, offset = match.group(), match.start()
    for name in sorted(said, key=match.start, reverse=True):
        text = text[: match.start(name) - offset] + said[name] + text[match.end(name) - offset :]
    return text


# A number after a label; its digits may stand in groups (`943 476 5919`), and what is measured isn't one of them.
_NUMBER = r"(?P<what>(?=(?:\d ?){5})\d{2,}(?: \d{2,})+(?!\.\d|\s?(?:[mc]m|cc|ml|%|x)\b|\d)|(?=[\w-]*\d)[a-z0-9-]{4,})\b"
# Words that follow a name in a text that is all capitals.
_STOP = (
    r"(?!(?i:at|on|who|and|or|by|in|for|of|the|is|are|was|were|has|had|with|from|via|to|as|a|an|no|not|that|this|then|when"
    r"|about|regarding|concerning|during|after|before|immediately|directly|ct|mri?|mr|us|pet|xr|md|rn)\b)"
)
_CAP = rf"{_STOP}[A-Z](?:['’][A-Z])?[A-Za-z]+(?:-[A-Z][A-Za-z]+)?"
_FULL = rf"(?P<what>(?:[A-Z]\.?\s+)*{_CAP}(?:,?\s+(?:[A-Z]\.\s+)?{_CAP}){{0,2}})"
_TITLES = r"\b(?:(?i:dr|mr|mrs|prof|doctor|professor|nurse|miss)\b\.?|Ms\b\.?|MS\.|RN|NP)\s+"
_SIGNED = (
    r"(?i:\b(?:signed|dictated|reported|reviewed|read|interpreted|transcribed|verified|approved|finalized|ordered"
    r"|performed|referred|requested)\s+by\b|\b(?:patient(?:['’]s)?\s+name|patient|name|attending|resident|fellow|radiologist|physician|provider"
    r"|surgeon)\s*:)\s*:?\s*"
)
_BESIDE_GIVEN = rf"(?<!\w)(?P<what>{_CAP},\s+{GIVEN}\b(?:\s+[A-Z]\b)?|{GIVEN}\s+(?:[A-Z]\.?\s+)?{_CAP})(?!\w)"
_TOLD = r"(?i:\b(?:called|conveyed|relayed|communicated|discussed|notified|informed|spoken?)(?:\s+(?:to|with|by))?\s+)"
_LABEL = (
    r"\b(?:MRN?#?|medical record|med rec|accession|acc|account|acct|visit|encounter|ssn|policy|claim|chart"
    r"|patient id|nhs)"
)

_CONTACTS = (
    _find(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", CONTACT),
    _find(r"\b(?:https?://|www\.)\S+", CONTACT),
    _find(r"(?<![\d.])[0-2](?:\.\d+){5,}(?![\d.])", ID),  # a DICOM UID, PS3.5 9
    _find(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", CONTACT),
)
_ANYBODY = (
    # No year, so nothing to move: a month with a day, or a fraction after a word that dates.
    _find(rf"\b(?P<what>(?-i:(?=[A-Z])){_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?)\b(?!\s*[mc]m\b|\.\d)", DATE),
    _find(rf"\b(?P<what>\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?(?-i:(?=[A-Z])){_MONTH})(?!\w)", DATE),
    _find(
        r"\b(?:on|dated|since|from|exam|study|comparison:?)\s+(?P<what>(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01]))(?![/\d]|\.\d)",
        DATE,
    ),
    _find(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)", ID),
    _find(r"(?<![\d.])(?:\+?1[-.\s])?(?:\(\d{3}\)\s?|\d{3}[-.\s])\d{3}[-.\s]\d{4}(?!\d)", PHONE),
    _find(r"(?<!\w)\+\d[\d\s().-]{7,}\d(?!\d)", PHONE),
    _find(
        r"\b(?:phone|tel|telephone|call|called|pager|fax|contact|cell|mobile|ext|extension|x)\b\.?:?\s*(?P<what>\d{3}-\d{4}|\d{4,})\b",
        PHONE,
    ),
    _find(rf"{_LABEL}\b\.?\s*(?:number|no\.?|num)?\s*[:#=]?\s*{_NUMBER}", ID),
    _find(r"(?<![\w.,])[a-z]{0,4}-?\d{6,}(?![\w]|[.,]\d)", ID),
    _find(r"\b[a-z]{1,5}-\d{2,4}-\d{3,}\b|\b(?<=number )\d{3}-\d{3,4}\b", ID),
    _find(r"\b[A-Za-z][A-Za-z'’-]+\^[A-Za-z][\w.'’-]*(?:\^[\w.'’-]*)*", NAME),
    _find(_TITLES + _FULL, NAME, re.NOFLAG),
    _find(_SIGNED + _FULL, NAME, re.NOFLAG),
    _find(rf"{_FULL}(?=,?\s+(?:M\.?D|D\.O|MD|DO|MBBS|FRCR|RN|NP|PA-C)\b)", NAME, re.NOFLAG),
    _find(rf"{_TOLD}(?P<what>{_CAP}\s+{_CAP})", NAME, re.NOFLAG),
    _find(_BESIDE_GIVEN, NAME, re.NOFLAG),
    _find(rf"(?<!\w)(?P<what>(?!{NOBODY})(?:{_CAP}\s+)?(?!{NOBODY}){_CAP}){ONLY_PEOPLE_DO}", NAME, re.NOFLAG),
    _find(rf"\b[Tt]he\s+patient,\s+{_FULL}", NAME, re.NOFLAG),
    _find(r"\bZIP(?:\s+code)?:?\s*(?P<what>\d{5}(?:-\d{4})?)\b", ADDRESS),
    _find(rf"\b(?i:transferred\s+from|resident\s+of|lives\s+(?:at|in))\s+(?P<what>(?:{_CAP}\s*)+)", ADDRESS, re.NOFLAG),
    _find(r"\b\d{1,5}\s+(?:[A-Z]+\s+){1,3}(?:STREET|AVENUE|ROAD|LANE|BOULEVARD|HIGHWAY)\b", ADDRESS, re.NOFLAG),
    _find(rf"\b\d{{1,5}}\s+(?:[A-Z][A-Za-z]+\s+){{1,3}}(?:{_STREETS})\b\.?", ADDRESS, re.NOFLAG),
    _find(r"\b(?:age|aged)[:\s]+(?P<what>9\d|1[0-2]\d)\b", str(OLDEST_AGE)),
    _find(r"\b(?P<what>9\d|1[0-2]\d)(?=[\s-]*(?:years?[\s-]*old|y\.?/?o\b|yr|year-old))", str(OLDEST_AGE)),
    _find(r"\b(?P<what>9\d|1[0-2]\d)(?=\s?[MF]\b(?!\w))", str(OLDEST_AGE), re.NOFLAG),
)
_PATIENTS: tuple[Detector, ...] = (
    _find(
        r"\b(?:MRN|medical record|med rec|accession|ssn|social security|patient id|nhs"
        r"|(?:hospital|hosp|patient|unit|chart|record)\.?(?=\s*(?:number|no\b|num|#)))\b\.?\s*(?:number|no\.?|num)?"
        rf"\s*[:#=]?\s*{_NUMBER}",
        ID,
    ),
    _find(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)", ID),
    _birth_dates,
    _find(r"\b[A-Za-z][A-Za-z'’-]+\^[A-Za-z][\w.'’-]*(?:\^[\w.'’-]*)*", NAME),
    # Not `MR.` nor `MRS.`: in capitals they are studies.
    _find(r"\b(?:Mr|Mrs|Ms|Miss|Mx)\b\.?\s+" + _FULL, NAME, re.NOFLAG),
    _find(r"\b(?:(?:the\s+)?[Pp]atient,|Re:|RE:)\s+" + _FULL, NAME, re.NOFLAG),
    _find(
        r"(?:(?i:\bpatient(?:['’]s)?\s+name\b|\bname\s+of\s+(?:the\s+)?patient\b)|(?im:^[ \t]*name(?=:)))\s*"
        rf"(?:(?i:is\b)|[:=-])?\s*{_FULL}",
        NAME,
        re.NOFLAG,
    ),
)
