"""Labels joined to what a version answered, of the rows that are evidence of a stage."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from promise.data.columns import Array
from promise.records.evidence import Observed

_BLOCK_ROWS = 51_200  # a planned look of metrics: 50 rows, doubled ten times


@dataclass(frozen=True)
class Outcomes:
    """Labelled rows in the order in which their labels came.

    Parameters
    ----------
    y, output
        Labels (n,), float64, class codes in int64 or codes of several labels as texts, and raw
        outputs, (n,) or (n, n_classes).
    group
        A column's value of each row; None where a row does not tell it.
    """

    y: Array
    output: Array
    group: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def digest(self) -> str:
        """What tells these rows from any others."""
        texts = self.y.dtype == object  # whose bytes would be addresses
        y = repr(self.y.tolist()).encode() if texts else np.ascontiguousarray(self.y).tobytes()
        found = hashlib.blake2b(y, digest_size=16)
        found.update(np.ascontiguousarray(self.output).tobytes())
        found.update(repr(None if self.group is None else self.group.tolist()).encode())
        return found.hexdigest()


def outcomes_of(
    seen: Iterable[Observed],
    of: str | None = None,
    *,
    arms: Collection[str] | None = None,
    since: datetime | None = None,
) -> Outcomes | None:
    """Return the newest joined labels of answers that belong to a stage; None where none do.

    Parameters
    ----------
    of
        Column of a group.
    arms
        As what the version answered; None for all.
    since
        When the stage began: only what was answered from then on counts, however late its label
        came or its block was refreshed.

    Examples
    --------
    >>> at = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
    >>> payload = {"y": [1, 0], "output": [[0.2, 0.8], [0.6, 0.4]], "group": {"sex": ["f", "m"]},
    ...            "at": [at.timestamp() - 1, at.timestamp()], "arm": ["live", "canary"]}
    >>> seen = [Observed("outcome", at, payload)]
    >>> found = outcomes_of(seen, "sex")
    >>> found.y.tolist(), found.output.shape, found.group.tolist()
    ([1, 0], (2, 2), ['f', 'm'])
    >>> outcomes_of(seen, since=at).y.tolist(), outcomes_of(seen, arms=["shadow"])
    ([0], None)
    """
    y: list[Any] = []
    output: list[Any] = []
    group: list[Any] | None = None if of is None else []
    for each in seen:
        payload = each.payload
        rows = list(_of_stage(each, arms, since))
        y += [payload["y"][i] for i in rows]
        output += [payload["output"][i] for i in rows]
        values = (payload.get("group") or {}).get(of)
        if group is not None and rows:
            group = None if values is None else [*group, *(values[i] for i in rows)]
    if not y:
        return None
    part = judged_rows(len(y))
    wide = np.asarray(output[part], dtype=np.float64)
    several = isinstance(y[0], str)
    wide = wide[:, 0] if wide.ndim == 2 and wide.shape[1] == 1 and not several else wide
    groups = None if group is None else np.array(group[part], dtype=object)
    # JSON tells class codes as it tells numbers; shares of classes are what tells them apart
    kind = object if several else np.int64 if wide.ndim == 2 else np.float64
    return Outcomes(np.asarray(y[part], dtype=kind), wide, groups)


def _of_stage(
    seen: Observed, arms: Collection[str] | None, since: datetime | None
) -> Iterator[int]:
    """Yield the rows that were answered in these arms from a moment on."""
    n_rows = len(seen.payload["y"])
    begun = float("-inf") if since is None else since.timestamp()
    at = seen.payload.get("at") or [seen.at.timestamp()] * n_rows
    arm = seen.payload.get("arm") or ["live"] * n_rows
    for i in range(n_rows):
        if at[i] >= begun and (arms is None or arm[i] in arms):
            yield i


def judged_rows(n_rows: int) -> slice:
    """Return which of so many labelled rows are judged: whole blocks, so that old ones go.

    Verdicts look at the earliest rows of what they get, at planned sizes; a window that slid
    along would be looked at anew each time. A block counts from its middle on; until then the
    block before it does.

    Examples
    --------
    >>> judged_rows(1000), judged_rows(60_000), judged_rows(80_000)
    (slice(0, 51200, None), slice(0, 51200, None), slice(51200, 102400, None))
    """
    full, rest = divmod(n_rows, _BLOCK_ROWS)
    block = full if full == 0 or rest >= _BLOCK_ROWS // 2 else full - 1
    return slice(block * _BLOCK_ROWS, (block + 1) * _BLOCK_ROWS)
