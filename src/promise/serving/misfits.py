"""Why a value does not fit a type: the place, what came, and what was expected there.

The readable twin of `msgspec.convert`, which is asked only for what that has refused: the two
agree on what fits, and this one has the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from promise.errors import near
from promise.pipeline.json_text import NAMED

_SHOWN = 80  # characters of a text that did not fit


def misfit(value: Any, kind: Any) -> str | None:
    """Say what is wrong with a plain JSON value of a type; None where it fits.

    Parts of a list of objects are told by number, from 0: `label 3: …` of the field `labels`.

    Examples
    --------
    >>> from promise.serving.bodies import LabelSent, LabelsSent
    >>> misfit({"label": True, "id": "m1.0-a-1"}, LabelSent) is None
    True
    >>> misfit({"labels": [{"label": 1, "source": 7}]}, LabelsSent)
    "label 0: the field 'source' holds a whole number, expected text, or null."
    """
    return next(_of_object(value, inspect.type_info(kind), "", "the body is"), None)


def _of_object(value: Any, about: Any, entry: str, it_is: str) -> Iterator[str]:
    """Yield what is wrong with an object; `entry` is the place of the object, before its fields."""
    fields = {field.encode_name: field for field in about.fields}
    if not isinstance(value, dict):
        yield f"{entry}{it_is} {_named(value)}, expected an object with {_listed(fields)}."
        return
    for name in value if about.forbid_unknown_fields else ():
        if name not in fields:
            yield f"{entry}there is no field {name[:_SHOWN]!r}; {near(name[:_SHOWN], fields)}"
    for name, field in fields.items():
        if name in value:
            yield from _of_field(value[name], field.type, entry, name)
        elif field.required:
            yield f"{entry}the field {name!r} is missing; send {_expected(field.type)}."


def _of_field(value: Any, about: Any, entry: str, name: str) -> Iterator[str]:
    listed = _taken(value, about)
    if isinstance(listed, inspect.ListType) and isinstance(listed.item_type, inspect.StructType):
        for number, part in enumerate(value):
            numbered = f"{entry}{name.removesuffix('s')} {number}: "
            yield from _of_object(part, listed.item_type, numbered, "it is")
    else:
        yield from _of_value(value, about, f"{entry}the field {name!r}")
        return
    yield from _of_length(value, listed, f"{entry}the field {name!r}", "parts")


def _of_value(value: Any, about: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with a value that holds no objects of ours."""
    match _taken(value, about):
        case None:
            yield f"{place} holds {_named(value)}, expected {_expected(about)}."
        case inspect.StrType() as text:
            yield from _of_text(value, about, text, place)
        case inspect.IntType() as whole:
            low, high = whole.ge, whole.le
            if (low is not None and value < low) or (high is not None and value > high):
                yield f"{place} holds {value}, expected {_expected(whole)}."
        case inspect.LiteralType() as literal:
            if value not in literal.values:
                came = str(value)[:_SHOWN]
                yield f"{place} holds {came!r}; {near(came, map(str, literal.values))}"
        case inspect.ListType() as listed:
            yield from _of_length(value, listed, place, "parts")
            for number, part in enumerate(value):
                yield from _of_value(part, listed.item_type, f"{place}, part {number},")


def _of_text(value: str, about: Any, text: inspect.StrType, place: str) -> Iterator[str]:
    yield from _of_length(value, text, place, "characters")
    if text.pattern is not None and re.search(text.pattern, value) is None:
        yield f"{place} holds {value[:_SHOWN]!r}, expected {_expected(about)}."


def _of_length(value: Any, about: Any, place: str, what: str) -> Iterator[str]:
    low, high = about.min_length or 0, about.max_length
    if len(value) >= low and (high is None or len(value) <= high):
        return
    bound = f"at least {low:,}" if high is None else f"{low:,} to {high:,}"
    yield f"{place} has {len(value):,} {what}, expected {bound}."


def _taken(value: Any, about: Any) -> Any:
    """Return the member of a type that takes values of this kind, its bounds aside; or None."""
    for member in _members(about):
        match member:
            case inspect.AnyType():
                return member
            case inspect.NoneType():
                fits = value is None
            case inspect.BoolType():
                fits = isinstance(value, bool)
            case inspect.IntType():
                fits = type(value) is int
            case inspect.FloatType():
                fits = type(value) in (int, float)
            case inspect.StrType() | inspect.LiteralType():
                fits = isinstance(value, str)
            case inspect.ListType():
                fits = isinstance(value, list)
            case inspect.DictType() | inspect.StructType():
                fits = isinstance(value, dict)
            case _:
                raise TypeError(f"{member} is no type of a body; add it to `misfits`.")
        if fits:
            return member
    return None


def _members(about: Any) -> tuple[Any, ...]:
    """Return the types of a union without their annotations; of another type that one."""
    if isinstance(about, inspect.Metadata):
        return _members(about.type)
    if isinstance(about, inspect.UnionType):
        return tuple(inner for member in about.types for inner in _members(member))
    return (about,)


def _expected(about: Any) -> str:
    """Say what a type takes.

    Examples
    --------
    >>> from promise.serving.bodies import LabelValue
    >>> _expected(inspect.type_info(LabelValue))
    'a truth value, a number, text, or a list of these'
    """
    if isinstance(about, inspect.Metadata) and about.extra_json_schema:
        told = about.extra_json_schema.get("description", "").rstrip(".")
        such = about.extra_json_schema.get("examples", ())
        if told:
            return f"{told[:1].lower()}{told[1:]}" + (f", such as {such[0]!r}" if such else "")
    if isinstance(about, inspect.UnionType):
        return _any_of([_expected(member) for member in _without_ints(about.types)])
    match about:
        case inspect.IntType(ge=None, le=None):
            return "a whole number"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low:,} to {high:,}"
        case inspect.ListType(item_type=inspect.StructType() as inner):
            return f"a list of objects with {_listed(field.encode_name for field in inner.fields)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
    return _PLAIN.get(type(about), "a list of these")


_PLAIN: dict[type, str] = {
    inspect.StrType: "text", inspect.BoolType: "a truth value", inspect.FloatType: "a number",
    inspect.NoneType: "null", inspect.DictType: "an object", inspect.AnyType: "a value",
}  # fmt: skip


def _without_ints(types: tuple[Any, ...]) -> list[Any]:
    """Leave out whole numbers where any number is taken."""
    floats = any(isinstance(member, inspect.FloatType) for member in types)
    return [one for one in types if not (floats and isinstance(one, inspect.IntType))]


def _any_of(words: list[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def _listed(names: Any) -> str:
    return "the fields " + ", ".join(repr(name) for name in names)


def _named(value: Any) -> str:
    return NAMED.get(type(value), "something else")
