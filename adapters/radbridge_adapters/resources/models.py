"""The R4B classes of fhir.resources, taken apart into what a document is held to: each type's elements, as data.

R4B is R4 for every type that goes over our wires. The classes are imported on first use: 0.7 s and 37 MiB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from radbridge_adapters.resources.bindings import required_codes

RESOURCE = "Resource"
"""The `complex` of an element that holds a whole resource."""

_QUANTITIES = frozenset({"Age", "Count", "Distance", "Duration"})
"""Types that have the elements of Quantity, bindings and all."""
_PRIMITIVES = {
    "Base64Binary": "base64Binary",
    "bool": "boolean",
    "Canonical": "canonical",
    "Code": "code",
    "Date": "date",
    "DateTime": "dateTime",
    "Decimal": "decimal",
    "Id": "id",
    "Instant": "instant",
    "Integer": "integer",
    "Integer64": "integer64",
    "Markdown": "markdown",
    "Oid": "oid",
    "PositiveInt": "positiveInt",
    "String": "string",
    "Time": "time",
    "UnsignedInt": "unsignedInt",
    "Uri": "uri",
    "Url": "url",
    "UuidVersion": "uuid",
    "Xhtml": "xhtml",
}
"""fhir-core's names of the primitive types -> FHIR's."""
_ABSTRACT = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """One element of a type."""

    name: str
    many: bool
    primitive: str = ""
    """Its primitive type (`dateTime`); empty for a complex one."""
    complex: str = ""
    """Its complex type (`CodeableConcept`, `BundleEntry`) or `Resource`; empty for a primitive one."""
    part_path: str = ""
    """Where a type stands that is part of another one (`Bundle.entry`); empty for a data type."""
    codes: frozenset[str] | None = None
    """The codes it may have; None for any."""
    targets: frozenset[str] | None = None
    """The types its Reference may point at; None for any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a type may have, and must have."""

    name: str
    path: str
    """`Bundle.entry.request`: what bindings and rules are found by."""
    elements: Mapping[str, Element]
    required: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]
    """`value` -> the elements of `value[x]`, of which one document has one."""
    required_choices: frozenset[str]


@cache
def is_resource_type(name: str) -> bool:
    """Whether FHIR has a resource of that type name."""
    from fhir.resources.R4B.resource import Resource

    try:
        return name not in _ABSTRACT and issubclass(model_of(name), Resource)
    except KeyError:
        return False


def model_of(name: str) -> Any:
    """The pydantic class of a type. Raises KeyError for a name that is no complex type of FHIR."""
    from fhir.resources.R4B import fhirtypes

    find: Any = getattr(vars(fhirtypes).get(f"{name}Type"), "get_model_klass", None)
    if find is None:
        raise KeyError(name)
    return find()


@cache
def shape_of(name: str, path: str = "") -> Shape:
    """The shape of a type; `path` tells where one that is part of another stands (`Bundle.entry`), for its bindings."""
    model = model_of(name)
    path = path or ("Quantity" if name in _QUANTITIES else name)
    elements: dict[str, Element] = {}
    required: list[str] = []
    choices: dict[str, list[str]] = {}
    required_choices: set[str] = set()
    for info in model.model_fields.values():
        alias, facts = info.alias, info.json_schema_extra
        if facts is None or not facts.get("element_property"):
            continue  # `fhir_comments` and the `_x` beside a primitive, which `validate` knows by rule
        elements[alias] = _element(model, path, info)
        if info.is_required() or facts.get("element_required"):
            required.append(alias)
        if choice := facts.get("one_of_many"):
            choices.setdefault(choice, []).append(alias)
            if facts.get("one_of_many_required"):
                required_choices.add(choice)
    return Shape(
        name=name,
        path=path,
        elements=elements,
        required=tuple(required),
        choices={choice: tuple(names) for choice, names in choices.items()},
        required_choices=frozenset(required_choices),
    )


def preload(names: Iterable[str]) -> None:
    """Import these types and all that they are made of: at the first request it would hold up every other wire."""
    waiting = [(name, "") for name in names]
    seen: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        if one not in seen and one[0] != RESOURCE:
            seen.add(one)
            parts = shape_of(*one).elements.values()
            waiting += [(part.complex, part.part_path) for part in parts if part.complex]


def _element(model: Any, path: str, info: Any) -> Element:
    name = info.alias
    many, kinds = _unwrap(info.annotation)
    primitive = next((found for kind in kinds if (found := _PRIMITIVES.get(_name_of(kind)))), "")
    made_of = "" if primitive else _complex_of(kinds)
    targets = info.json_schema_extra.get("enum_reference_types")
    return Element(
        name=name,
        many=many,
        primitive=primitive,
        complex=made_of,
        part_path=_part_path(model, path, name, made_of),
        codes=required_codes().get(f"{path}.{name}"),
        targets=None if targets is None or RESOURCE in targets else frozenset(targets),
    )


def _part_path(model: Any, path: str, name: str, made_of: str) -> str:
    """A part is defined in its owner's module; one that repeats itself (`section.section`) keeps its path."""
    if made_of == model.__name__:
        return path
    return f"{path}.{name}" if made_of and hasattr(sys.modules[model.__module__], made_of) else ""


def _unwrap(annotation: Any) -> tuple[bool, list[Any]]:
    """Whether an annotation is a list, and what is at its leaves: types and fhir-core's metadata on them."""
    many, leaves, waiting = False, [], [annotation]
    while waiting:
        kind = waiting.pop()
        many = many or get_origin(kind) is list
        parts = get_args(kind)
        waiting += parts
        if not parts:
            leaves.append(kind)
    return many, leaves


def _name_of(kind: Any) -> str:
    return str(kind.__name__ if isinstance(kind, type) else type(kind).__name__)


def _complex_of(kinds: Sequence[Any]) -> str:
    return next(
        name.removesuffix("Type") for kind in kinds if (name := _name_of(kind)).endswith("Type") and name != "NoneType"
    )
