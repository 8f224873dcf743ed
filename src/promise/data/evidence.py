"""What in the data asks for a split by time or by group."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns, IntArray
from promise.data.sample import time_numbers
from promise.data.schema import Field

HOLDOUT_ROWS = 20_000
BIRTH = re.compile(r"birth|dob|born", re.IGNORECASE)
_ENTITY = re.compile(
    r"^(user|customer|client|patient|subject|person|people|participant|student|employee|household"
    r"|account|session|driver|speaker|author|member|player|card|device|visitor|respondent|family)s?$"
)
_THING = re.compile(
    r"^(product|item|store|shop|category|location|place|region|country|city|state|zip|type|class"
    r"|vendor|brand|model|department|status|code|station|route|airline|genre|job)s?$"
)


def holdout_fraction(n_rows: int) -> float:
    """Return the usual share of the holdout: 20 %, at most 20,000 rows, 25 % of tiny data.

    Examples
    --------
    >>> holdout_fraction(200), holdout_fraction(5000), holdout_fraction(200_000)
    (0.25, 0.2, 0.1)
    """
    return 0.25 if n_rows < 250 else min(0.2, HOLDOUT_ROWS / n_rows)


def ordered(time: Array, rows: IntArray) -> float:
    """Return the rank correlation of time with row number; 0 where times are few or missing."""
    numbers = time_numbers(time)
    known = ~np.isnan(numbers)
    if known.mean() < 0.95 or len(np.unique(numbers[known])) < 10:
        return 0.0
    distinct, codes = np.unique(numbers[known], return_inverse=True)
    counts = np.bincount(codes.reshape(-1), minlength=len(distinct))
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[codes.reshape(-1)]  # ties share their mean rank
    places = np.argsort(np.argsort(rows[known])).astype(np.float64)
    return float(np.corrcoef(ranks, places)[0, 1])


def group_evidence(field: Field, columns: Columns, y: Array, answer: Answer) -> str | None:
    """Return why rows of one value of this column belong together, or None."""
    if field.role not in ("input", "id", "entity", "ignore") or field.name not in columns:
        return None
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", field.name).lower()
    parts = [part for part in re.split(r"[^a-z]+", words) if part]
    named_id = bool(parts) and (parts[-1] in ("id", "uid", "uuid", "key") or words.endswith("id"))
    entity = any(_ENTITY.match(part) for part in parts)
    if not (entity and len(parts) <= 3) and not (
        named_id and not any(_THING.match(part) for part in parts)
    ):
        return None
    values = columns[field.name]
    keys = time_numbers(values) if values.dtype.kind != "O" else values.astype(str)
    _, codes = np.unique(keys, return_inverse=True)
    n_groups = int(codes.max()) + 1
    per_group = len(codes) / n_groups
    if per_group < 2 or n_groups < 30:
        return None
    alike = within_groups(codes.reshape(-1), y, isinstance(answer, Class))
    if alike < 0.1:
        return None
    return (
        f"`{field.name}` repeats ({per_group:.1f} rows per value) and the label is alike within "
        f"its values (intraclass correlation {alike:.2f})"
    )


def within_groups(codes: npt.NDArray[np.int64], y: Array, classes: bool) -> float:
    """Return the intraclass correlation of the label, its mean over classes; 0: none.

    One-way analysis of variance, ICC(1) of Shrout and Fleiss (1979), with the mean group size
    corrected for unequal groups.
    """
    counts = np.bincount(codes).astype(np.float64)
    n, k = float(len(codes)), float(len(counts))
    size = (n - (counts**2).sum() / n) / (k - 1)
    targets = [(y == value).astype(np.float64) for value in np.unique(y)[:20]] if classes else [y]
    shares = []
    for target in targets:
        means = np.bincount(codes, weights=target) / counts
        between = (counts * (means - target.mean()) ** 2).sum() / (k - 1)
        within = ((target - means[codes]) ** 2).sum() / max(1.0, n - k)
        total = between + (size - 1) * within
        shares.append((between - within) / total if total > 0 else 0.0)
    return float(np.mean(shares))
