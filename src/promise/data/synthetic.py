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


_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_SUFFIXES = ("com", "net", "org", "io", "co.uk", "com.br", "de", "fr")
_SUBDOMAINS = ("www.", "api.", "cdn.", "mail.", "m.")
_STEMS = 12  # for each class


def name_table(
    n_rows: int = 1000, *, n_classes: int = 20, seed: int = 7, wrong: float = 0.05
) -> pa.Table:
    """Return domain names whose category is that of the one telling stem inside their brand.

    A brand is a stem between two words that tell nothing, run together, as real ones are. A share
    `wrong` of brands has a category drawn by chance, so that nobody can be right more often than
    `name_ceiling` says. A brand has one to three names, under subdomains; a tenth of brands stand
    under a second suffix. Early categories are more frequent. No name comes twice.

    Examples
    --------
    >>> name_table(3).column_names
    ['domain', 'category']
    """
    rng = np.random.default_rng(seed)
    stems = _spoken(rng, n_classes * _STEMS, syllables=3)
    words = _spoken(rng, 400, syllables=2)
    share = (1.0 + np.arange(n_classes)) ** -0.5
    true = rng.choice(n_classes, n_rows, p=share / share.sum())
    stem = true * _STEMS + rng.integers(_STEMS, size=n_rows)
    told = np.where(rng.random(n_rows) < wrong, rng.integers(n_classes, size=n_rows), true)
    drawn = rng.integers(
        [len(words), len(words), len(_SUFFIXES), 3, len(_SUBDOMAINS), 10], size=(n_rows, 6)
    )
    rows: dict[str, int] = {}
    for (first, last, suffix, more, below, twice), middle, label in zip(
        drawn.tolist(), stem.tolist(), told.tolist(), strict=True
    ):
        brand = words[first] + stems[middle] + words[last]
        domain = f"{brand}.{_SUFFIXES[suffix]}"
        if domain in rows:
            domain = f"{brand}-{len(rows)}.{_SUFFIXES[suffix]}"
        rows[domain] = label
        for number in range(more):
            rows[_SUBDOMAINS[(below + number) % len(_SUBDOMAINS)] + domain] = label
        if not twice:
            rows.setdefault(f"{brand}.{_SUFFIXES[suffix - 1]}", label)
        if len(rows) >= n_rows:
            break
    order = rng.permutation(len(rows))[:n_rows]
    domains = np.array(list(rows), dtype=object)[order]
    labels = np.array([f"category_{code:02d}" for code in range(n_classes)], dtype=object)
    return pa.table({"domain": domains, "category": labels[np.array(list(rows.values()))[order]]})


def name_ceiling(n_classes: int = 20, wrong: float = 0.05) -> float:
    """Return the accuracy on `name_table` of who knows every stem."""
    return 1.0 - wrong * (1.0 - 1.0 / n_classes)


def _spoken(rng: np.random.Generator, n: int, *, syllables: int) -> list[str]:
    """Return different words of so many syllables."""
    found: dict[str, None] = {}
    while len(found) < n:
        letters = [rng.choice(list(kind)) for kind in (_CONSONANTS, _VOWELS) * syllables]
        found["".join(letters)] = None
    return list(found)
