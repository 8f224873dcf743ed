"""Seeded tables whose answers are known, for tests, demonstrations and benchmarks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

CITY_EFFECT = {"oslo": 2.0, "rome": 0.0, "lima": -2.0}


def known_table(n_rows: int = 1000, *, seed: int = 7, classes: bool = False) -> pa.Table:
    """Return rows whose target is a known function of their columns.

    `target = 3 size - 2 [age > 40] + effect of city + noise of deviation 0.1`; with `classes`, the
    label is `"high"` where that is above zero, else `"low"`. `size` is missing in a tenth of the
    rows (its value still counts), `noise` means nothing, `day` rises with the row.

    Examples
    --------
    >>> known_table(3).column_names
    ['size', 'age', 'city', 'noise', 'day', 'target']
    """
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n_rows)
    age = rng.integers(18, 80, n_rows)
    city = rng.choice(list(CITY_EFFECT), n_rows)
    effect = np.array([CITY_EFFECT[name] for name in city])
    target = 3 * size - 2.0 * (age > 40) + effect + rng.normal(scale=0.1, size=n_rows)
    days = np.datetime64("2024-01-01", "us") + np.arange(n_rows) * np.timedelta64(3600, "s")
    label = np.where(target > 0, "high", "low") if classes else target
    return pa.table(
        {
            "size": pa.array(size, mask=rng.random(n_rows) < 0.1),
            "age": age,
            "city": city,
            "noise": rng.normal(size=n_rows),
            "day": days,
            "target": label,
        }
    )


def grouped_table(
    n_groups: int = 100, per_group: int = 5, *, seed: int = 7, spread: float = 1.0
) -> pa.Table:
    """Return rows of groups whose label is a group's own level plus noise.

    With `spread` 1 the intraclass correlation of the target is one half; with 0 it is none.

    Examples
    --------
    >>> grouped_table(2, 3).num_rows
    6
    """
    rng = np.random.default_rng(seed)
    level = rng.normal(scale=spread, size=n_groups) if spread else np.zeros(n_groups)
    group = rng.permutation(np.repeat(np.arange(n_groups), per_group))
    target = level[group] + rng.normal(size=len(group))
    names = [f"p{g:05d}" for g in group]
    return pa.table({"patient_id": names, "dose": rng.normal(size=len(group)), "target": target})


def event_table(n_entities: int = 50, events: int = 20, *, seed: int = 7) -> pa.Table:
    """Return events in time order whose label is the sign of the entity's previous value.

    Only a model that reads an entity's earlier rows can predict it.

    Examples
    --------
    >>> event_table(2, 3).num_rows
    6
    """
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(events, n_entities))
    before = np.vstack([np.zeros((1, n_entities)), value[:-1]])
    n_rows = events * n_entities
    start = np.datetime64("2024-01-01", "us")
    return pa.table(
        {
            "user_id": np.tile(np.arange(n_entities), events),
            "when": start + np.arange(n_rows) * np.timedelta64(60, "s"),
            "value": value.ravel(),
            "target": (before.ravel() > 0).astype(np.int64),
        }
    )
