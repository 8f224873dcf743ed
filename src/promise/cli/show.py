"""What all commands share in showing: one JSON object on standard output, the rest on stderr."""

from __future__ import annotations

import json
import math
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from promise.state.files import plain

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

errors = Console(stderr=True)
"""Progress and warnings."""


def console() -> Console:
    """Return the console for results: as wide as the terminal, 120 columns in a pipe."""
    wide = None if sys.stdout.isatty() else 120
    return Console(file=sys.stdout, width=wide, highlight=False)


def print_json(data: Any) -> None:
    """Print one JSON object; NaN is null."""
    print(json.dumps(plain(data), ensure_ascii=False, indent=2))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as tables show it.

    Examples
    --------
    >>> number(0.123456), number(None), number(123456.7)
    ('0.1235', '–', '123,457')
    """
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}"
