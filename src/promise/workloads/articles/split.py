"""Which articles are sealed: equal shares of each class, copies of an article on one side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from promise.data.columns import Array, IntArray
from promise.data.evidence import holdout_fraction
from promise.data.sample import time_numbers
from promise.data.split import LEAST_ROWS, Split, time_cutoff
from promise.errors import ConfigError, DataError, near
from promise.kernels.rows import row_hash

Rule = Literal["random", "temporal", "given"]
RULES: tuple[Rule, ...] = ("random", "temporal", "given")
SEALED = ("test", "holdout", "sealed", "true", "1", "yes")
"""What a column of the rule `given` says of a sealed row."""

_APART = 0xA271


@dataclass(frozen=True)
class ArticleSplit:
    """A rule that says of each article whether it is sealed away.

    Parameters
    ----------
    fraction
        Share of the sealed ones, where the rule leaves a choice.
    column
        Of times (`temporal`), or of what says so (`given`).
    """

    rule: Rule
    fraction: float
    seed: int
    column: str | None = None
    cutoff: str | None = None

    @classmethod
    def of(cls, told: str | None, *, n_rows: int, seed: int) -> ArticleSplit:
        """Read `--split`: `random`, `temporal:COLUMN` or `given:COLUMN`.

        Examples
        --------
        >>> ArticleSplit.of("given:part", n_rows=1000, seed=7).describe()
        'the rows that `part` names as test'
        """
        rule, _, column = (told or "random").partition(":")
        if rule not in RULES:
            raise ConfigError(f"--split {told}: there is no rule {rule!r}; {near(rule, RULES)}")
        if (rule == "random") == bool(column):
            raise ConfigError(f"--split {told}: expected random, temporal:COLUMN or given:COLUMN.")
        return cls(rule, holdout_fraction(n_rows), seed, column or None)

    def sides(self, truth: Array, groups: IntArray, values: Array | None) -> tuple[Array, Any]:
        """Return which rows are sealed, bool (n,), and this rule with its cutoff filled in.

        Parameters
        ----------
        groups
            Copies of one article share a number.
        values
            Of the rule's column: times, or what the column says.
        """
        if self.rule == "random":
            return self._drawn(truth, groups), self
        assert values is not None, "read with the rows"
        if self.rule == "given":
            sealed = np.array([str(v).strip().lower() in SEALED for v in values], dtype=np.bool_)
            self._check(sealed, f"column {self.column!r} calls {{}} of the rows test")
            return sealed, self
        numbers = time_numbers(values)
        cutoff = time_cutoff(values, self.fraction)
        limit = float(np.datetime64(cutoff, "us").astype(np.int64)) if values.dtype.kind == "M" \
            else float(cutoff)  # fmt: skip
        sealed = numbers >= limit
        self._check(sealed, f"by {self.column!r} {{}} of the rows are late")
        return sealed, ArticleSplit(self.rule, self.fraction, self.seed, self.column, cutoff)

    def _drawn(self, truth: Array, groups: IntArray) -> Array:
        """Seal whole groups, class by class; of each class a group at least is learned from."""
        names, first, group = np.unique(groups, return_index=True, return_inverse=True)
        strata = strata_of(truth)[first]
        sizes = np.bincount(group.reshape(-1))
        hashes = row_hash(first.astype(np.int64), self.seed + _APART)
        order = np.lexsort((hashes, strata))
        sealed = np.zeros(len(names), dtype=np.bool_)
        owed = 0.0  # shares of small classes add up over classes until a whole group is due
        for code in np.unique(strata):
            of_class = order[strata[order] == code]
            total = sizes[of_class].sum() * self.fraction + (owed if len(of_class) > 1 else 0.0)
            due = total
            for place in of_class[: len(of_class) - 1]:
                if due < sizes[place] / 2:
                    break
                sealed[place] = True
                due -= sizes[place]
            owed = due if len(of_class) > 1 else owed
        found: Array = sealed[group.reshape(-1)]
        self._check(found, "{} of the rows can be sealed")
        return found

    def _check(self, sealed: Array, what: str) -> None:
        n = int(sealed.sum())
        if n == 0 or n > len(sealed) - LEAST_ROWS // 2:
            told = what.format("none" if n == 0 else f"{n:,} of {len(sealed):,}")
            raise DataError(
                f"{told}: no part is left to learn from and to judge by; give more articles "
                "(at least a dozen), or another --split."
            )

    def describe(self) -> str:
        """Say in one phrase which rows are sealed."""
        if self.rule == "given":
            return f"the rows that `{self.column}` names as test"
        share = f"{100 * self.fraction:.4g} %"
        if self.rule == "temporal":
            return f"the latest {share} of articles by `{self.column}` (from {self.cutoff})"
        return f"a random {share} of articles, in equal shares of each class, copies kept together"

    @property
    def by_time(self) -> dict[str, Any]:
        """The rule as tables have it, where it is one of time; else nothing.

        Examples
        --------
        >>> split = ArticleSplit("temporal", 0.2, 7, "day", "2026-05-01")
        >>> split.by_time["kind"], split.by_time["cutoff"]
        ('temporal', '2026-05-01')
        """
        if self.rule != "temporal":
            return {}
        return Split("temporal", self.fraction, self.seed, self.column, self.cutoff).to_json()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)


def strata_of(truth: Array) -> IntArray:
    """Return what rows are dealt by: the class; of several labels the rarest one.

    Examples
    --------
    >>> strata_of(np.array([[1, 0], [1, 1], [1, 0]], dtype=bool))
    array([0, 1, 0])
    """
    counts = truth.sum(axis=0)
    rarity = np.where(truth, counts, counts.max(initial=0) + 1)
    return np.asarray(rarity.argmin(axis=1), dtype=np.int64)


def group_folds(truth: Array, groups: IntArray, k: int, rng: np.random.Generator) -> IntArray:
    """Return the fold of each row: classes spread evenly, groups whole.

    A class of one group is in no fold (-1): it is only learned from.
    """
    names, first, group = np.unique(groups, return_index=True, return_inverse=True)
    strata = strata_of(truth)[first]
    draw = rng.permutation(len(names))
    order = draw[np.argsort(strata[draw], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % k
    alone = np.bincount(strata, minlength=truth.shape[1])[strata] < 2
    fold[alone] = -1
    found: IntArray = fold[group.reshape(-1)]
    return found
