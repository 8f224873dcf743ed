"""Numbers as a reader wants them: the digits that matter, with their unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNKNOWN = "–"

TITLES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "f1": "F1",
    "matthews": "Matthews correlation",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "mape": "mean relative error",
    "rmsle": "RMSLE",
    "median_absolute_error": "median absolute error",
}
"""How the page calls the metrics."""


def part(story: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """Return a part of the story; empty where it is missing."""
    found = (story or {}).get(key)
    return found if isinstance(found, dict) else {}


def items(story: Mapping[str, Any] | None, key: str) -> list[Any]:
    """Return a list of the story; empty where it is missing."""
    found = (story or {}).get(key)
    return list(found) if isinstance(found, list | tuple) else []


def texts(story: Mapping[str, Any] | None, key: str) -> list[str]:
    """Return the sentences of a list."""
    return [str(text) for text in items(story, key) if text is not None]


def dicts(story: Mapping[str, Any] | None, key: str, *numbers: str) -> list[dict[str, Any]]:
    """Return the dictionaries of a list in which all these numbers are known."""
    held = [row for row in items(story, key) if isinstance(row, dict)]
    return [row for row in held if all(finite(row.get(n)) is not None for n in numbers)]


def tuples(rows: Iterable[Any], width: int) -> list[tuple[float, ...]]:
    """Return the rows that are so many known numbers.

    Examples
    --------
    >>> tuples([[1, 2], [3, None], None], 2)
    [(1.0, 2.0)]
    """
    held = [row for row in rows if isinstance(row, list | tuple) and len(row) == width]
    found = [tuple(v for v in map(finite, row) if v is not None) for row in held]
    return [row for row in found if len(row) == width]


def finite(value: object) -> float | None:
    """Return a number, None for everything else.

    Examples
    --------
    >>> finite(2), finite("2"), finite(float("nan"))
    (2.0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def interval(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return a row's `ci`, where it has both ends."""
    ends = [finite(v) for v in row.get("ci") or ()]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def count(value: object) -> str:
    """Return a whole number with its thousands parted.

    Examples
    --------
    >>> count(12345), count(None)
    ('12,345', '–')
    """
    number = finite(value)
    return UNKNOWN if number is None else f"{number:,.0f}"


def digits_of(width: float | None) -> int:
    """Return the decimals that tell an interval of this width with two digits.

    Examples
    --------
    >>> digits_of(0.013), digits_of(250.0), digits_of(None)
    (3, 0, 3)
    """
    if width is None or not width > 0:
        return 3
    return max(0, min(5, 1 - math.floor(math.log10(width))))


def score(value: object, decimals: int | None = None) -> str:
    """Return a score; without decimals given, three digits that matter.

    Examples
    --------
    >>> score(0.91234), score(0.91234, 2), score(12345.6), score(-0.0004, 2)
    ('0.912', '0.91', '12,346', '0.00')
    """
    number = finite(value)
    if number is None:
        return UNKNOWN
    if abs(number) >= 1e9 or 0 < abs(number) < 1e-5:
        return f"{number:.3g}"
    if decimals is None:
        decimals = 0 if abs(number) >= 1000 else 3 if abs(number) < 1 else 2
    shown = f"{number:,.{decimals}f}"
    return shown.lstrip("-") if not shown.strip("-0.,") else shown


def compact(value: float) -> str:
    """Return a number in few characters, as axes show it.

    Examples
    --------
    >>> [compact(v) for v in (0, 0.25, 12_500, 2_000_000, 3e-7)]
    ['0', '0.25', '12.5k', '2M', '3e-07']
    """
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-4:
        return f"{value:.2g}"
    for bound, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size >= bound:
            return f"{value / (1e3 if unit == 'k' else bound):.4g}{unit}"
    return f"{value:.4g}"


def share(value: object, decimals: int = 1) -> str:
    """Return a share in percent; a trace is not shown as nothing, nor nearly all as all.

    Examples
    --------
    >>> share(0.123), share(0), share(0.00001), share(0.99999)
    ('12.3 %', '0 %', '< 0.1 %', '> 99.9 %')
    """
    number = finite(value)
    if number is None:
        return UNKNOWN
    least = 10.0**-decimals
    if 0 < number * 100 < least / 2:
        return f"< {least:g} %"
    if number < 1 and round(number * 100, decimals) >= 100:
        return f"> {100 - least:g} %"
    return f"{number * 100:.{0 if number in (0, 1) else decimals}f} %"


def span(seconds: object) -> str:
    """Return a time span.

    Examples
    --------
    >>> span(0.0042), span(4.2), span(42), span(90), span(7300)
    ('4.2 ms', '4.2 s', '42 s', '1 min 30 s', '2 h 1 min')
    """
    number = finite(seconds)
    if number is None:
        return UNKNOWN
    if number < 0.1:
        return f"{number * 1000:.2g} ms"
    if number < 9.95:
        return f"{number:.1f} s"
    whole = round(number)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def megabytes(value: object) -> str:
    """Return a size that is given in megabytes.

    Examples
    --------
    >>> megabytes(0.0002), megabytes(0.0123), megabytes(4.25), megabytes(2048)
    ('210 B', '13 kB', '4.2 MB', '2.0 GB')
    """
    number = finite(value)
    if number is None:
        return UNKNOWN
    size, unit = number * 1024, "kB"
    if size < 1:
        size, unit = size * 1024, "B"
    elif number >= 1000:
        size, unit = number / 1024, "GB"
    elif size >= 1000:
        size, unit = number, "MB"
    return f"{size:.{1 if size < 9.95 and unit != 'B' else 0}f} {unit}"


def metric_title(name: object) -> str:
    """Return what the page calls a metric."""
    return TITLES.get(str(name), str(name).replace("_", " ")) if name else "score"


def listed(names: Sequence[object], limit: int = 5) -> str:
    """Return the first names, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = [str(n)[:80] for n in names[:limit]]
    more = len(names) - len(shown)
    if more > 0:
        return ", ".join(shown) + f" and {more:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
