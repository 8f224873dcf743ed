"""Python values as source text, laid out the way a formatter would leave them."""

from __future__ import annotations

import math
from typing import Any

WIDTH = 100


def literal(value: Any, indent: int = 0, taken: int = 0) -> str:
    """Write a JSON-like value as Python source that `ruff format` does not touch.

    Parameters
    ----------
    indent
        Spaces before the statement's continuation lines.
    taken
        Columns that the line already uses before the value, and needs after it.

    Examples
    --------
    >>> literal({"rounds": 120, "name": "it's"})
    '{"rounds": 120, "name": "it\\'s"}'
    >>> print(literal([1.5, None], taken=95))
    [
        1.5,
        None,
    ]
    """
    flat = _flat(value)
    if not isinstance(value, dict | list | tuple) or not value:
        return flat
    if indent + taken + len(flat) <= WIDTH:
        return flat
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        items = [
            f"{_flat(key)}: {literal(item, indent + 4, len(_flat(key)) + 3)}"
            for key, item in value.items()
        ]
    else:
        items = [literal(item, indent + 4, 1) for item in value]
    first, last = ("{", "}") if isinstance(value, dict) else _brackets(value)
    return "\n".join([first, *(f"{inner}{item}," for item in items), " " * indent + last])


def assignment(name: str, value: Any, annotation: str | None = None) -> str:
    """Write `NAME = value` (or `NAME: type = value`).

    Examples
    --------
    >>> assignment("WEIGHTS", (0.5, 0.5))
    'WEIGHTS = (0.5, 0.5)'
    """
    head = f"{name} = " if annotation is None else f"{name}: {annotation} = "
    return head + literal(value, 0, len(head))


def text(value: str) -> str:
    """Write a string with the quotes that need fewer escapes, double ones by preference.

    Examples
    --------
    >>> print(text('a "b"'), text("c"))
    'a "b"' "c"
    """
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_character(c, quote) for c in value) + quote


def _character(c: str, quote: str) -> str:
    if c in (quote, "\\"):
        return "\\" + c
    return c if c.isprintable() else repr(c)[1:-1]


def _flat(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(k)}: {_flat(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        first, last = _brackets(value)
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return first + ", ".join(_flat(item) for item in value) + comma + last
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    raise TypeError(f"{type(value).__name__} has no literal form here: {value!r}")


def _brackets(value: list[Any] | tuple[Any, ...]) -> tuple[str, str]:
    return ("[", "]") if isinstance(value, list) else ("(", ")")
