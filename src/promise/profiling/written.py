"""How numbers and dates were written down, where that can be read in more than one way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from promise.data.columns import Columns
from promise.data.schema import Schema
from promise.profiling.findings import Finding

_GROUPED = re.compile(r"[-+]?[$€£]?\d{1,3}(?:(?P<mark>[, '\u00a0\u202f.])\d{3})(?:(?P=mark)\d{3})*"
                      r"(?P<rest>[.,]\d+)?")  # fmt: skip
_PLAIN = re.compile(r"[-+]?[$€£]?(?:\d+(?:[.,]\d+)?|[.,]\d+)")
_LOOKED_AT = 5_000
_SURE = 0.95
_CLOCK = re.compile(r" %[HI]:.*$")


def find_grouped_digits(
    columns: Columns, schema: Schema, names: tuple[str, ...]
) -> Iterator[Finding]:
    """Find numbers that are read as categories, since a mark groups their digits: 1,001.50."""
    for name in names:
        if name not in columns or schema[name].type not in ("category", "text"):
            continue
        texts = [text.strip() for text in columns[name][:_LOOKED_AT].tolist() if text is not None]
        found = [match for text in texts if (match := _GROUPED.fullmatch(text)) is not None]
        if not found:
            continue
        mark, shown = found[0]["mark"], found[0][0]
        alike = sum(match["mark"] == mark for match in found)
        plain = sum(_PLAIN.fullmatch(text) is not None for text in texts)
        if alike < len(found) or alike + plain < _SURE * len(texts):
            continue
        if mark == " " and len({len(text) for text in texts}) == 1:
            continue  # telephone numbers and codes have one length
        point = "," if mark == "." or any((m["rest"] or "").startswith(",") for m in found) else "."
        yield Finding(
            "grouped_digits",
            "warning",
            (name,),
            f"{name!r} holds numbers whose digits {mark!r} groups, such as {shown!r} "
            f"({alike:,} of {len(texts):,} values), and is read as a {schema[name].type}.",
            _reading(name, mark, point),
        )


def find_mixed_dates(schema: Schema, names: tuple[str, ...]) -> Iterator[Finding]:
    """Find dates that were written in several forms, and days that could be months."""
    for name in names:
        if name not in schema or schema[name].type != "date":
            continue
        forms = [_form(form) for form in (schema[name].format or "iso").split("|")]
        forms = list(dict.fromkeys(forms))
        if len(forms) < 2:
            continue
        unsure = any(_turned(form) in forms for form in forms)
        told = f"; where both day and month could come first, {forms[0]} is tried first"
        yield Finding(
            "mixed_dates",
            "warning" if unsure else "note",
            (name,),
            f"dates of {name!r} are written in {len(forms)} forms ({', '.join(forms)}): each value "
            f"is read by the first that fits{told if unsure else ''}.",
            f"frame[{name!r}] = pandas.to_datetime(frame[{name!r}], format={forms[0]!r}, "
            "errors='coerce')  # of one form at a time",
        )


def _reading(name: str, mark: str, point: str) -> str:
    """Return the line of Python that reads such numbers."""
    stripped = f"frame[{name!r}].str.replace(r'[^0-9{point}+-]', '', regex=True)"
    swapped = f"{stripped}.str.replace(',', '.')" if point == "," else stripped
    return f"frame[{name!r}] = pandas.to_numeric({swapped})  # {mark!r} groups digits"


def _form(form: str) -> str:
    """Return a form of dates without its clock, as people write it."""
    return "%Y-%m-%d" if form == "iso" else _CLOCK.sub("", form)


def _turned(form: str) -> str:
    """Return a form with day and month in the other order.

    Examples
    --------
    >>> _turned("%d/%m/%Y")
    '%m/%d/%Y'
    """
    return form.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")
