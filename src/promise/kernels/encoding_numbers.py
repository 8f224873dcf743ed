"""Numbers for a matrix: columns, parts of dates and arithmetic, raw or scaled.

A *term* says how one number comes from the columns: `["age"]`, `["when", "weekday"]` or
`["price", "/", "rooms"]`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

DATE_PARTS = ("day number", "year", "month", "day", "weekday", "day of year", "hour")
DATE_CYCLES = ("day of year sine", "day of year cosine", "weekday sine", "weekday cosine",
               "hour sine", "hour cosine")  # fmt: skip
GRID_POINTS = 64
LARGEST = 3e38  # still finite as float32


def date_part(dates: npt.NDArray[Any], part: str) -> npt.NDArray[np.float64]:
    """Return one calendar part of dates as float64, NaN where the date is missing.

    Examples
    --------
    >>> date_part(np.array(["2026-03-01T06:30", "NaT"], dtype="M8[us]"), "hour")
    array([6.5, nan])
    """
    dates = np.asarray(dates, dtype="M8[us]")
    day = dates.astype("M8[D]")
    number = day.astype(np.int64)
    fraction = (dates - day).astype(np.int64) / 86_400_000_000
    day_of_year = number - day.astype("M8[Y]").astype("M8[D]").astype(np.int64)
    if part == "day number":
        value = number + fraction
    elif part == "year":
        value = day.astype("M8[Y]").astype(np.int64) + 1970.0
    elif part == "month":
        value = day.astype("M8[M]").astype(np.int64) % 12 + 1.0
    elif part == "day":
        value = number - day.astype("M8[M]").astype("M8[D]").astype(np.int64) + 1.0
    elif part == "weekday":
        value = (number + 3) % 7 + 0.0  # Monday is 0
    elif part == "day of year":
        value = day_of_year + 1.0
    elif part == "hour":
        value = fraction * 24
    else:
        value = date_cycle(day_of_year, (number + 3) % 7, fraction, part)
    return np.where(np.isnat(dates), np.nan, value)


def date_cycle(
    day_of_year: npt.NDArray[Any], weekday: npt.NDArray[Any], fraction: npt.NDArray[Any], part: str
) -> npt.NDArray[np.float64]:
    """Return the sine or cosine of a place in the year, week or day, from a table of steps."""
    period = 366 if part.startswith("day") else 7 if part.startswith("weekday") else 24
    place = {366: day_of_year, 7: weekday, 24: np.floor(fraction * 24)}[period]
    turn = np.sin if part.endswith(" sine") else np.cos
    # a table, so that one row and a batch take the same digits
    table = turn(2 * np.pi * np.arange(period) / period)
    # a missing date has an arbitrary place here; the caller blanks it
    values: npt.NDArray[np.float64] = table[np.mod(place, period).astype(np.int64)]
    return values


def term_values(columns: dict[str, npt.NDArray[Any]], term: list[str]) -> npt.NDArray[np.float64]:
    """Return a term's values as float64; infinities may remain.

    Examples
    --------
    >>> term_values({"a": np.array([6.0]), "b": np.array([3.0])}, ["a", "/", "b"])
    array([2.])
    """
    first = columns[term[0]]
    if len(term) == 2:
        return date_part(first, term[1])
    if len(term) == 1:
        return np.asarray(first, dtype=np.float64)
    second = columns[term[2]]
    if term[1] == "days after":
        days = (np.asarray(first, "M8[us]") - np.asarray(second, "M8[us]")).astype(np.int64)
        missing = np.isnat(first) | np.isnat(second)
        return np.where(missing, np.nan, days / 86_400_000_000)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    with np.errstate(all="ignore"):
        if term[1] == "/":
            values = a / b
        elif term[1] == "*":
            values = a * b
        elif term[1] == "+":
            values = a + b
        else:
            values = a - b
    return values


def term_sources(term: list[str]) -> list[str]:
    """Return the columns that a term reads."""
    return [term[0], term[2]] if len(term) == 3 else [term[0]]


def title(term: list[str], way: str) -> str:
    """Return the name of a term's matrix column."""
    return " ".join(term) + (" rank" if way == "quantile" else "")


def term_matrix(
    columns: dict[str, npt.NDArray[Any]], terms: list[list[str]], n_rows: int
) -> npt.NDArray[np.float64]:
    """Return terms side by side, (n, terms); infinities become NaN."""
    values = np.empty((n_rows, len(terms)))
    for j, term in enumerate(terms):
        values[:, j] = term_values(columns, term)
    values[np.isinf(values)] = np.nan
    return values


def fit_numbers(
    columns: dict[str, npt.NDArray[Any]], terms: list[list[str]], way: str, indicators: bool
) -> dict[str, Any]:
    """Learn how to fill and scale terms; constants and empty terms are left out.

    Parameters
    ----------
    way
        `raw` keeps NaN; `standard` fills the median, `mean` the mean, and both scale to unit
        variance; `quantile` maps to a normal distribution and fills the middle.
    indicators
        Whether terms with missing values get a column that says so.
    """
    scaled: list[list[str]] = []
    marked: list[list[str]] = []
    fits: list[dict[str, Any]] = []
    for term in terms:
        values = term_values(columns, term)
        known = np.sort(values[np.isfinite(values)])
        gaps = 0 < len(known) < len(values)
        varies = len(known) > 0 and known[0] != known[-1]
        if varies or (gaps and way == "raw" and not indicators):
            scaled.append(term)
            fits.append(fit_number(known, len(values), way))
        if gaps and indicators:
            marked.append(term)
    part: dict[str, Any] = {"kind": "numbers", "way": way, "terms": scaled, "marked": marked}
    part["names"] = [title(t, way) for t in scaled] + [f"{' '.join(t)} is missing" for t in marked]
    part["sources"] = [term_sources(term) for term in scaled + marked]
    for key in fits[0] if fits else ():
        part[key] = np.array([fit[key] for fit in fits])
    return part


def fit_number(known: npt.NDArray[np.float64], n_rows: int, way: str) -> dict[str, Any]:
    """Learn from sorted finite values what fills gaps and how to scale."""
    if way == "raw":
        return {}
    if way == "quantile":
        return fit_quantiles(known)
    scale = float(np.max(np.abs(known))) or 1.0  # sums of squares of huge numbers stay finite
    unit = known / scale
    fill = float(unit[len(unit) // 2]) if way == "standard" else float(unit.mean())
    gaps = n_rows - len(unit)
    center = (float(unit.sum()) + gaps * fill) / n_rows
    spread = float(((unit - center) ** 2).sum()) + gaps * (fill - center) ** 2
    deviation = np.sqrt(spread / n_rows) or 1.0
    return {"fill": fill * scale, "center": center * scale, "scale": deviation * scale}


def fit_quantiles(known: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Lay a grid of quantiles and their normal scores; ties get the score of their middle rank."""
    from scipy.special import ndtri

    n = len(known)
    picks = np.unique(known[np.linspace(0, n - 1, GRID_POINTS).round().astype(np.int64)])
    low, high = np.searchsorted(known, picks, "left"), np.searchsorted(known, picks, "right")
    scores = ndtri((low + high) / (2 * n))
    pad = GRID_POINTS - len(picks)
    grid, scores = np.pad(picks, (0, pad), mode="edge"), np.pad(scores, (0, pad), mode="edge")
    return {"grid": grid, "scores": scores}


def encode_numbers(
    columns: dict[str, npt.NDArray[Any]], part: dict[str, Any], out: npt.NDArray[np.float32]
) -> None:
    """Write a numbers part into its columns of the matrix."""
    terms, marked, way = part["terms"], part["marked"], part["way"]
    if terms:
        values = term_matrix(columns, terms, len(out))
        if way == "quantile":
            for j in range(len(terms)):
                column = values[:, j]
                mapped = np.interp(column, part["grid"][j], part["scores"][j])
                values[:, j] = np.where(np.isnan(column), 0.0, mapped)
        elif way != "raw":
            gaps = np.isnan(values)
            values = (np.where(gaps, part["fill"], values) - part["center"]) / part["scale"]
            if way == "standard":
                np.clip(values, -10, 10, out=values)
        out[:, : len(terms)] = np.clip(values, -LARGEST, LARGEST, out=values)
    if marked:
        out[:, len(terms) :] = np.isnan(term_matrix(columns, marked, len(out)))
