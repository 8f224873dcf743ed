"""The training replay: the features of millions of past events, bit for bit what serving gives.

Why the bits are equal. Both paths share one definition of what an event sees: what came in before
with a time in [t − w, t), bounded by retention and number of events. Sums are sums of whole
numbers (steps of 0.0001), the same in any order; each division and logarithm is done once, on
equal operands, in the same precision. Entities whose events came in time order are computed by
sorting and running sums (`sweep.py`); the others, and those whose labels became known out of
order, by the online kernel itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from promise.features.grouped import Groups, Ints, Times
from promise.features.history import Coded, History
from promise.features.kernel import Kernel
from promise.features.known import Known
from promise.features.ring import Ring
from promise.features.sets import FeatureSet
from promise.features.sweep import Sweep

Matrix = NDArray[np.float64]


def replay(features: FeatureSet, history: History, *, threads: int = 2) -> Matrix:
    """Return the features that serving gave, or would have given, at each event.

    Parameters
    ----------
    features
        The declared views.
    history
        Events and labels in the order in which they came in.
    threads
        Kinds of entities computed at the same time; the result is the same.

    Returns
    -------
    matrix
        float64 (n_rows, n_columns), column-major, NaN where missing. A duplicate has the features
        of the event that it repeats.

    Raises
    ------
    DataError
        When the history lacks a field that a view reads.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from promise.features.declare import Count, Mean
    >>> from promise.features.view import FeatureView
    >>> table = pa.table({"t": [0, 1, 2], "card": ["a", "b", "a"], "eur": [4.0, 5.0, 6.0]})
    >>> history = History.of(table, time="t", entities={"entity": "card"}, amount="eur")
    >>> view = FeatureView("card", ("entity",), (Count("1d"), Mean("amount", "1d")))
    >>> replay(FeatureSet((view,)), history)
    array([[ 0., nan],
           [ 0., nan],
           [ 1.,  4.]])
    """
    matrix = np.full((len(history), len(features.columns)), np.nan, order="F")
    if not len(history):
        return matrix
    times = Times(history.at)
    first = history.first  # before the threads ask for it
    ends = np.cumsum([len(kernel.columns) for kernel in features.kernels])
    with ThreadPoolExecutor(threads) as pool:  # sorts and searches run without the lock
        jobs = [
            pool.submit(_replay_kernel, kernel, history, times, matrix[:, end - width : end])
            for kernel, end in zip(features.kernels, ends, strict=True)
            for width in (len(kernel.columns),)
        ]
        for job in jobs:
            job.result()
    repeated = np.flatnonzero(first != np.arange(len(history)))
    matrix[repeated] = matrix[first[repeated]]
    return matrix


def _replay_kernel(kernel: Kernel, history: History, times: Times, out: Matrix) -> None:
    codes = entity_codes([history.text(role) for role in kernel.entity], len(history))
    once = history.first == np.arange(len(history))
    rows = np.flatnonzero(once & (codes >= 0))
    if not kernel.entity:  # nothing is kept, so each event stands alone
        _fill(kernel, history, Groups(rows, rows, times), out)
        return
    groups = Groups.of(rows, codes[rows], times)
    apart = groups.disordered()
    orderly = groups.without(apart)
    known = None
    if kernel.plan.layout.labels:
        known = Known.of(history, orderly)
        late = known.disordered(orderly)
        if len(late):
            apart, orderly = np.union1d(apart, late), orderly.without(late)
            known = Known.of(history, orderly)
    if len(apart):
        _walk(kernel, history, groups, apart, out)
    _fill(kernel, history, orderly, out, known)


def _fill(
    kernel: Kernel, history: History, groups: Groups, out: Matrix, known: Known | None = None
) -> None:
    """Compute the entities that came in order, by columns."""
    if not len(groups.rows):
        return
    sweep = Sweep(history, groups, known or Known.none(), kernel.plan.layout.max_events)
    plain: dict[int, Matrix] = {}
    last_use = {place: n for n, pair in enumerate(kernel.plan.outputs) for place in pair
                if place is not None}  # fmt: skip
    for column, (top, bottom) in enumerate(kernel.plan.outputs):
        for place in (top, bottom):
            if place is not None and place not in plain:
                plain[place] = sweep.column(kernel.plan.plain[place])
        out[groups.rows, column] = (
            plain[top] if bottom is None else _ratios(plain[top], plain[bottom])
        )
        plain = {place: values for place, values in plain.items() if last_use[place] > column}


def _walk(kernel: Kernel, history: History, groups: Groups, apart: Ints, out: Matrix) -> None:
    """Compute some entities event by event, by the online kernel."""
    inside = np.isin(groups.segment, apart)
    segment = np.full(len(history), -1, np.int64)
    segment[groups.rows[inside]] = groups.segment[inside]
    labels = history.labels
    owners = segment[history.first[labels.rows]] if len(labels.rows) else labels.rows
    mine = np.flatnonzero(owners >= 0)
    rows = np.flatnonzero(segment >= 0)
    # a label that came after n rows stands before row n
    steps = [(int(after), 0, int(n)) for after, n in zip(labels.after[mine], mine, strict=True)]
    steps += [(int(row), 1, int(row)) for row in rows]
    states: dict[int, Ring] = {}
    for _, is_event, place in sorted(steps):
        if is_event:
            event = history.event(place)
            state = states.setdefault(int(segment[place]), kernel.blank())
            out[place] = kernel.values(state, event)
            kernel.update(state, event)
        elif int(owners[place]) in states:
            kernel.learn(states[int(owners[place])], history.label(place))


def entity_codes(roles: Sequence[Coded], n_rows: int) -> Ints:
    """Return one number for each entity, −1 where a role is missing."""
    mixed = np.zeros(n_rows, np.int64)
    missing = np.zeros(n_rows, bool)
    for coded in roles:
        mixed = mixed * (len(coded.values) + 1) + coded.codes
        missing |= coded.codes < 0
    return np.where(missing, -1, mixed)


def _ratios(top: Matrix, bottom: Matrix) -> Matrix:
    out = np.full(len(top), np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out
