"""A document held to R4: every problem of it at once, each with its place.

fhir.resources alone is no judge: it coerces types, lets wrong codes, nulls and empty values through, and crashes on an
unknown type inside a Bundle. So a document is walked here by the shapes that are read from its models, and what this
walk accepts its models accept too (a property test).
"""

from __future__ import annotations

import re
from typing import Any

from radbridge.journal.types import MAX_KEY_BYTES, is_too_long
from radbridge_adapters.resources.invariants import broken_rules
from radbridge_adapters.resources.models import RESOURCE, Element, Shape, is_resource_type, shape_of
from radbridge_adapters.resources.outcome import Issue, Issues
from radbridge_adapters.resources.primitives import PRIMITIVES
from radbridge_adapters.resources.references import fault_of

MAX_ISSUES = 100
"""Told of one document; what comes after is no use to anybody."""

_KEYS = {
    "Identifier": ("system", "value"),
    "Coding": ("system", "code"),
    "ContactPoint": ("value",),
    "Reference": ("reference", "display"),
}
"""Elements that something is found by: a resource, a case, its issuer, a patient, a signer."""
_SAYABLE = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")
"""A name that may be repeated in an expression; any other may hold anything."""


def validate(document: Any) -> None:
    """Raises Issues with all that is wrong with a resource, a Bundle and what is in it included."""
    walk = _Walk()
    try:
        walk.resource(document, "", contained=False)
    except RecursionError:
        walk.tell("structure", "", "nested too deeply")
    except _Enough:
        pass
    if walk.issues:
        raise Issues(walk.issues)


class _Enough(Exception):
    """MAX_ISSUES are told."""


class _Walk:
    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self._root: list[dict[str, Any]] = []
        """The resource that `#x` is looked up in, innermost last."""

    def tell(self, code: str, path: str, diagnostics: str) -> None:
        self.issues.append(Issue(code=code, expression=path, diagnostics=diagnostics))
        if len(self.issues) >= MAX_ISSUES:
            raise _Enough

    def resource(self, value: Any, path: str, *, contained: bool) -> None:
        if not isinstance(value, dict):
            self.tell("structure", path, "a resource is a JSON object")
            return
        name = value.get("resourceType")
        if not isinstance(name, str):
            self.tell("required", _join(path, "resourceType"), "a resource names its type")
            return
        if not is_resource_type(name):
            self.tell("structure", _join(path, "resourceType"), "no resource type of FHIR R4")
            return
        if contained and "contained" in value:  # dom-2
            self.tell("invariant", _join(path, "contained"), "a contained resource contains none itself")
        if not contained:
            self._root.append(value)
        self.fields(value, shape_of(name), path or name, is_resource=True)
        if not contained:
            self._root.pop()

    def fields(self, value: dict[str, Any], shape: Shape, path: str, *, is_resource: bool = False) -> None:
        elements = shape.elements
        for name, item in value.items():
            element = elements.get(name)
            if element is not None:
                self._element(item, element, value, f"{path}.{name}")
            elif name.startswith("_") and (base := elements.get(name[1:])) is not None and base.primitive:
                self._siblings(item, base, value, f"{path}.{name[1:]}")
            elif not (is_resource and name == "resourceType"):
                place = f"{path}.{name}" if _SAYABLE.fullmatch(name) else path
                self.tell("structure", place, f"{shape.name} has no such element")
        self._whole(value, shape, path)

    def _whole(self, value: dict[str, Any], shape: Shape, path: str) -> None:
        """What a type must have, its choices and its rules."""
        for name in shape.required:
            if name not in value and f"_{name}" not in value:
                self.tell("required", f"{path}.{name}", "this element is required")
        for choice, names in shape.choices.items():
            told = [name for name in names if name in value or f"_{name}" in value]
            if len(told) > 1:
                self.tell("structure", f"{path}.{choice}[x]", "one type at most of a choice")
            elif not told and choice in shape.required_choices:
                self.tell("required", f"{path}.{choice}[x]", "one of this choice is required")
        for name in _KEYS.get(shape.name, ()):
            if isinstance(text := value.get(name), str) and is_too_long(text):
                self.tell("too-long", f"{path}.{name}", f"longer than {MAX_KEY_BYTES} bytes: nothing is found by it")
        for diagnostics in broken_rules(shape, value):
            self.tell("invariant", path, diagnostics)

    def _element(self, item: Any, element: Element, owner: dict[str, Any], path: str) -> None:
        if not element.many:
            self._value(item, element, path)
        elif not isinstance(item, list):
            self.tell("structure", path, "this element repeats: it is a JSON array")
        elif not item:
            self.tell("structure", path, "no array is empty")
        else:
            siblings = owner.get(f"_{element.name}")
            for index, one in enumerate(item):
                if one is None and element.primitive and _at(siblings, index) is not None:
                    continue
                self._value(one, element, f"{path}[{index}]")

    def _value(self, value: Any, element: Element, path: str) -> None:
        if element.complex == RESOURCE:
            self.resource(value, path, contained=element.name == "contained")
        elif element.complex:
            self._complex(value, element, path)
        elif value is None:
            self.tell("structure", path, "null stands only beside an extension in an array")
        elif not PRIMITIVES[element.primitive](value):
            self.tell("value", path, f"no {element.primitive}")
        elif element.codes is not None and value not in element.codes:
            self.tell("code-invalid", path, "no code of the required value set")

    def _complex(self, value: Any, element: Element, path: str) -> None:
        if not isinstance(value, dict):
            self.tell("structure", path, f"{element.complex} is a JSON object")
        elif not value:
            self.tell("structure", path, "no object is empty")
        else:
            self.fields(value, shape_of(element.complex, element.part_path), path)
            if element.complex == "Reference":
                for code, diagnostics in fault_of(value, element.targets, self._root[-1]):
                    self.tell(code, f"{path}.reference", diagnostics)

    def _siblings(self, item: Any, base: Element, owner: dict[str, Any], path: str) -> None:
        """`_x`: id and extensions of a primitive, or an array of them beside an array (R4 json.html#primitive)."""
        if not base.many:
            self._sibling(item, path)
            return
        beside = owner.get(base.name)
        if not isinstance(item, list) or not item or (beside is not None and not _same_length(item, beside)):
            self.tell("structure", path, "extensions of a repeating primitive are an array of the same length")
            return
        for index, one in enumerate(item):
            if one is not None:
                self._sibling(one, f"{path}[{index}]")
            elif beside is None:
                self.tell("structure", f"{path}[{index}]", "neither a value nor an extension")

    def _sibling(self, value: Any, path: str) -> None:
        if not isinstance(value, dict) or not value:
            self.tell("structure", path, "extensions of a primitive are a JSON object")
            return
        self.fields(value, shape_of("Element"), path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _at(items: Any, index: int) -> Any:
    return items[index] if isinstance(items, list) and index < len(items) else None


def _same_length(one: list[Any], other: Any) -> bool:
    return isinstance(other, list) and len(one) == len(other)
