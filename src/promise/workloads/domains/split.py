"""Which names are learned from, and which are sealed: three kinds of newness, one model.

One model is judged on three sealed parts. Of a *brand* that is sealed, no name was learned from,
whatever its suffix; of a sealed *registrable* domain likewise; the *random* part is a plain sample
of the names that are left. Sides follow from hashes alone: neither the order of the rows nor how
they are shared out moves a name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from promise.data.columns import Array
from promise.errors import ConfigError, near
from promise.features.names import Names
from promise.kernels.rows import mix, seed_word

Rule = Literal["random", "registrable", "brand"]
RULES: tuple[Rule, ...] = get_args(Rule)

TRAIN, RANDOM, REGISTRABLE, BRAND, CALIBRATE, TUNE, OF_NO_CLASS, STRANGE = range(8)
"""What each name is for; `CALIBRATE` holds whole brands, `TUNE` single names; of the names of no
class those that are `STRANGE` are never learned from."""

CLASSLESS = (OF_NO_CLASS, STRANGE)

LEARNED = (TRAIN, CALIBRATE, TUNE)
"""What the final weights are learned from, once calibration and rules are settled without it."""

SIDE_OF: dict[Rule, int] = {"random": RANDOM, "registrable": REGISTRABLE, "brand": BRAND}
ENOUGH = 20_000
"""So many sealed names of a kind say enough; of more rows a smaller share is sealed."""

_WORDS = {
    "random": "random names",
    "registrable": "names of registrable domains that were never learned from",
    "brand": "names of brands that were never learned from, under any suffix",
}


@dataclass(frozen=True)
class NameSplit:
    """How much of each kind is sealed.

    Parameters
    ----------
    rule
        The split whose holdout the version's own metrics are of.
    sealed
        Share of brands, of the other registrable domains and of the other names.
    calibrate, tune
        Share of the other brands, and of the other names, that calibration and rules are judged
        on.

    Examples
    --------
    >>> NameSplit.of("brand", n_rows=8_000, seed=7).sealed
    0.1
    """

    rule: Rule
    seed: int
    sealed: float = 0.1
    calibrate: float = 0.06
    tune: float = 0.03

    @classmethod
    def of(cls, rule: str | None, *, n_rows: int, seed: int) -> NameSplit:
        """Choose shares for so many rows; `rule` is what `--split` says."""
        chosen = next((known for known in RULES if known == (rule or "registrable")), None)
        if chosen is None:
            raise ConfigError(f"--split {rule}: {near(rule or '', RULES)}")
        part = float(np.clip(ENOUGH / max(1, n_rows), 0.02, 0.1))
        return cls(chosen, seed, part, 0.6 * part, 0.3 * part)

    def sides(self, names: Names) -> Array:
        """Return what each name is for, int8 (n,)."""
        brand = _unit(names.brand_hashes, self.seed)
        registrable = _unit(names.registrable_hashes, self.seed + 1)
        name = _unit(names.hashes, self.seed + 2)
        sides = np.full(len(names), TRAIN, np.int8)
        sides[name < self.sealed + self.tune] = TUNE
        sides[name < self.sealed] = RANDOM
        sides[registrable < self.sealed] = REGISTRABLE
        sides[brand < self.sealed + self.calibrate] = CALIBRATE
        sides[brand < self.sealed] = BRAND
        return sides

    def describe(self, rule: Rule | None = None) -> str:
        """Say which names are sealed under a rule."""
        return f"{_WORDS[rule or self.rule]} ({100 * self.sealed:.3g} % sealed)"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)


def _unit(hashes: Array, seed: int) -> Array:
    return (mix(hashes ^ seed_word(seed)) >> np.uint64(11)) / float(1 << 53)
