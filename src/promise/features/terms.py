"""Numbers of one row: columns as they came, arithmetic, parts of dates; no arrays.

The slow twin is `kernels/encoding_numbers.term_matrix` on columns of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from itertools import groupby
from math import inf, nan
from operator import itemgetter
from typing import Any

import numpy as np

from promise.data.schema import Field
from promise.features.values import reader, times_of
from promise.kernels.encoding_numbers import DATE_CYCLES, DATE_PARTS, term_values

Row = Sequence[Any]
"""Values in the schema's order: numbers as they came, all others as `values.reader` reads them."""

Source = Callable[[Row], Sequence[Any]]
Places = dict[str, tuple[int, Field]]
"""Name of a field to its place in a row."""

Term = tuple[str, ...]

DAY = 86_400_000_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
FIRST = (date.min.toordinal() - EPOCH_DAY) * DAY
LAST = (date.max.toordinal() + 1 - EPOCH_DAY) * DAY - 1
CYCLES = {
    period: [turn(2 * np.pi * np.arange(period) / period).tolist() for turn in (np.sin, np.cos)]
    for period in (366, 7, 24)
}
"""Sines and cosines of the steps of a period, the kernel's digits."""


def runs(terms: Sequence[Sequence[str]]) -> list[tuple[Term, ...]]:
    """Cut terms into runs that one source gives: plain numbers, parts of one date, single terms.

    Examples
    --------
    >>> runs([["a"], ["b"], ["a", "/", "b"], ["t", "year"], ["t", "hour"]])
    [(('a',), ('b',)), (('a', '/', 'b'),), (('t', 'year'), ('t', 'hour'))]
    """
    found: list[tuple[Term, ...]] = []
    for kind, group in groupby(map(tuple, terms), key=lambda t: (len(t), t[0] * (len(t) == 2))):
        members = tuple(group)
        found += [(member,) for member in members] if kind[0] == 3 else [members]
    return found


def as_they_came(run: tuple[Term, ...], places: Places) -> Source:
    """Return the source of plain numbers that may still be None, text or too large."""
    at = [places[name][0] for (name,) in run]
    if len(at) == 1:
        return lambda row: (row[at[0]],)
    return itemgetter(*at)


def source_of(run: tuple[Term, ...], places: Places) -> Source:
    """Return the source of a run's floats; NaN where missing, never infinite."""
    if len(run[0]) == 1:
        return plain_source(run, places)
    if len(run[0]) == 2:
        return date_source(places[run[0][0]][0], tuple(part for _, part in run))
    first, sign, second = run[0]
    if sign == "days after":
        return days_source(places[first][0], places[second][0])
    return arithmetic_source(places[first], sign, places[second])


def plain_source(run: tuple[Term, ...], places: Places) -> Source:
    """Return the source of plain numbers, read."""
    pairs = [(reader(places[name][1]), places[name][0]) for (name,) in run]
    return lambda row: [read(row[at]) for read, at in pairs]


def arithmetic_source(first: tuple[int, Field], sign: str, second: tuple[int, Field]) -> Source:
    """Return the source of one ratio, product, sum or difference."""
    (a, first_field), (b, second_field) = first, second
    read_a, read_b = reader(first_field), reader(second_field)

    def source(row: Row) -> tuple[float]:
        x, y = read_a(row[a]), read_b(row[b])
        if sign == "/":
            value = x / y if y else nan  # x / 0 is infinite, and infinities are missing
        elif sign == "*":
            value = x * y
        elif sign == "+":
            value = x + y
        else:
            value = x - y
        return (value if -inf < value < inf else nan,)

    return source


def days_source(first: int, second: int) -> Source:
    """Return the source of the days from the second date to the first."""

    def source(row: Row) -> tuple[float]:
        a, b = row[first], row[second]
        if a is None or b is None:
            return (nan,)
        if not (FIRST <= a <= LAST and FIRST <= b <= LAST):
            columns = {"a": times_of([a]), "b": times_of([b])}
            return (float(term_values(columns, ["a", "days after", "b"])[0]),)
        return (float(a - b) / DAY,)

    return source


def date_source(place: int, parts: tuple[str, ...]) -> Source:
    """Return the source of some calendar parts of one date."""
    known = DATE_PARTS + DATE_CYCLES
    at = [known.index(part) for part in parts]
    blank = [nan] * len(parts)
    cycles = any(part in DATE_CYCLES for part in parts)

    def source(row: Row) -> list[float]:
        time = row[place]
        if time is None:
            return blank
        if not FIRST <= time <= LAST:
            columns = {"time": times_of([time])}
            return [float(term_values(columns, ["time", part])[0]) for part in parts]
        values = calendar(time)
        if cycles:
            values += steps(values)
        return [values[i] for i in at]

    return source


def calendar(time: int) -> list[float]:
    """Return the parts `DATE_PARTS` of a time in microseconds since 1970.

    Examples
    --------
    >>> calendar(0)
    [0.0, 1970.0, 1.0, 1.0, 3.0, 1.0, 0.0]
    """
    number, rest = divmod(time, DAY)
    fraction = rest / DAY
    day = date.fromordinal(number + EPOCH_DAY)
    place = number + EPOCH_DAY - date(day.year, 1, 1).toordinal()
    return [
        number + fraction, float(day.year), float(day.month), float(day.day),
        float((number + 3) % 7), place + 1.0, fraction * 24,
    ]  # fmt: skip


def steps(parts: list[float]) -> list[float]:
    """Return the cycles `DATE_CYCLES` of the calendar parts of a time."""
    places = ((366, int(parts[5]) - 1), (7, int(parts[4])), (24, int(parts[6]) % 24))
    return [table[place] for period, place in places for table in CYCLES[period]]
