"""A linear model over hashed n-grams of names: learns from a stream, grows with new classes.

Terms are hashed into `2 ** BITS` buckets (Weinberger et al. 2009, without their signs: the buckets
are so many that hardly two terms meet). The buckets that occur most often carry weights. Learning
is stochastic gradient descent on the squared hinge loss of each class against all others, row after
row, with steps that fall linearly to zero; names of rare classes take longer ones. Rare classes are
then raised a little (the logit adjustment of Menon et al. 2021), and a temperature turns margins
into probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa

from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.errors import ArtifactError, DataError
from promise.job import Job
from promise.kernels import hashed as kernel
from promise.kernels.ngrams import count_terms

NAME = "\0name"
"""The column in which normalised names travel: objects of str, empty for what is no name.

No file has such a column name, so that a user's own column `name` stays a column."""

CUTS = "\0cuts"
"""The column of where registrable domain and public suffix begin, int32 (n, 2)."""

RULED = "\0ruled"
"""The column of the class that a rule names, int32 (n,); -1 where no rule does."""

SURE = "\0sure"
"""The column of how sure that rule is, float64 (n,)."""

BITS = 22
SHARP = 0.25
"""The temperature of margins before any was fitted: they are two apart where a name is known."""

SHARED, THREADS = 1024, 2
"""From so many names on, so many threads score them."""

PASSES = 400_000
"""Few names are passed over until about so many rows were learned from, 3 to 10 times."""


_OPTIONAL = ("lift", "stress")
_KEPT = ("data", "offsets", "cuts", "codes", "sides")


class Batch(NamedTuple):
    """Names as bytes, cut, with their classes.

    Parameters
    ----------
    data, offsets, cuts
        Uint8, int64 (n + 1,) and int32 (n, 2).
    codes
        Int64 (n,).
    """

    data: Array
    offsets: IntArray
    cuts: IntArray
    codes: IntArray

    @property
    def rows(self) -> IntArray:
        """Every row of it."""
        return np.arange(len(self.codes))


class Kept(NamedTuple):
    """A bounded sample of the names behind a model.

    Parameters
    ----------
    batch
        The names; the code -1 stands for a name of no class.
    sides
        What each is for, int8 (n,): the caller's own codes.
    """

    batch: Batch
    sides: Array


@dataclass(frozen=True)
class HashedLinear:
    """Probabilities of names: a Score stage, and a Fitted.

    Parameters
    ----------
    buckets
        The buckets that carry weights, int32 (m,).
    weights, worth, bias
        Float32 (m, k), (m,), (k,): `worth` grows with a term's inverse document frequency.
    n_classes
        How many classes are answered; a column beyond them stands for names of no class, so that
        the probabilities of a row sum to less than one.
    temperature
        Softens (above 1) or sharpens the probabilities.
    lift
        Added to each margin when names are answered, float32 (k,): the rarer a class, the more; to
        that of no class, what the share of unknown names asks for.
    stress
        How much longer a step a name takes towards its own class, float32 (k,), for rare classes;
        None for equal ones, as versions of kinds 1 and 2 learned.
    shaped
        Whether the shape of a name counts beside its n-grams; versions of kind 1 had none.
    kept
        A sample of all names it was made from, so that updates forget nothing.
    unknown_share
        Share of unknown names in the stream that the probabilities are calibrated for; None where
        nothing but names of classes calibrated them.
    """

    kind: ClassVar[str] = "hashed"
    kind_version: ClassVar[int] = 3
    buckets: IntArray
    weights: FloatArray
    worth: FloatArray
    bias: FloatArray
    n_classes: int
    temperature: float = 1.0
    kept: Kept | None = None
    lift: FloatArray | None = None
    shaped: bool = True
    stress: FloatArray | None = None
    unknown_share: float | None = None

    @cached_property
    def offset(self) -> FloatArray:
        """What is added to each margin when names are answered, float32 (k,)."""
        return self.bias if self.lift is None else self.bias + self.lift

    @cached_property
    def places(self) -> IntArray:
        """Bucket to row of the weights, int32 (2 ** BITS,); -1 for none."""
        return places_of(self.buckets)

    def many(self, columns: Columns) -> Array:
        """Return probabilities (n, n_classes): a rule's where one answers, else the model's.

        What is no name belongs to no class: its probabilities are zero.
        """
        names = columns[NAME]
        data, offsets = name_bytes(names)
        shares = np.zeros((len(names), len(self.bias)))
        ruled = columns[RULED] if RULED in columns else np.full(len(names), -1, np.int32)
        asked = np.flatnonzero((ruled < 0) & (offsets[1:] > offsets[:-1]))
        self.write(data, offsets, columns[CUTS], asked, shares)
        shares = shares[:, : self.n_classes]
        told = np.flatnonzero(ruled >= 0)
        if len(told):
            shares[told] = ruled_shares(ruled[told], columns[SURE][told], self.n_classes)
        return shares

    predict = many

    def write(
        self, data: Array, offsets: IntArray, cuts: IntArray, rows: IntArray, shares: FloatArray
    ) -> None:
        """Write the probabilities of these rows into `shares`, float64 (n, k)."""

        def score(some: IntArray) -> None:
            kernel.score(
                data, offsets, cuts, some, BITS, self.shaped, self.places,
                self.weights, self.worth, self.offset, self.temperature, shares,
            )  # fmt: skip

        if len(rows) < SHARED:
            score(rows)
            return
        # compiled loops let go of the interpreter, and rows do not depend on each other
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(score, np.array_split(rows, THREADS)))

    def of(self, batch: Batch) -> FloatArray:
        """Return the probabilities of a batch, (n, k): all columns, rules aside."""
        shares = np.zeros((len(batch.codes), len(self.bias)))
        self.write(batch.data, batch.offsets, batch.cuts, batch.rows, shares)
        return shares

    def learned(
        self, passes: Iterable[Iterable[Batch]], n_rows: int, terms: Terms, job: Job
    ) -> Self:
        """Return this model after these passes over rows; each pass may come in another order.

        Parameters
        ----------
        n_rows
            How many rows all passes have together.
        """
        weights, bias = self.weights.copy(), self.bias.copy()
        stress = np.ones(len(bias), np.float32) if self.stress is None else self.stress
        done, number = 0, 0
        for one in passes:
            for batch in one:
                rng = np.random.default_rng([job.seed, number])
                order = rng.permutation(len(batch.codes))
                left = 1.0 - (done + np.arange(len(order))) / max(1, n_rows)
                kernel.learn(
                    batch.data, batch.offsets, batch.cuts, order, batch.codes,
                    terms.step * np.maximum(left, 0.0), BITS, self.shaped, self.places,
                    weights, self.worth, bias, stress,
                )  # fmt: skip
                done, number = done + len(order), number + 1
        return replace(self, weights=weights, bias=bias)

    def save(self, folder: Path) -> None:
        """Write the arrays as `.npy` and the rest as JSON."""
        for name in ("buckets", "weights", "worth", "bias"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        for name in _OPTIONAL:
            if getattr(self, name) is not None:
                np.save(folder / f"{name}.npy", getattr(self, name))
        told = {"n_classes": self.n_classes, "temperature": self.temperature, "bits": BITS,
                "shaped": self.shaped, "unknown_share": self.unknown_share}  # fmt: skip
        (folder / "hashed.json").write_text(json.dumps(told), encoding="utf-8")
        if self.kept is not None:
            for name, array in zip(_KEPT, (*self.kept.batch, self.kept.sides), strict=True):
                np.save(folder / f"kept_{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "hashed.json").read_text(encoding="utf-8"))
        if told["bits"] != BITS:
            raise ArtifactError(
                f"these weights stand in 2^{told['bits']} buckets, this installation hashes into "
                f"2^{BITS}; train the version again."
            )
        names = ("buckets", "weights", "worth", "bias")
        arrays = {name: np.load(folder / f"{name}.npy") for name in names}
        kept = None
        if (folder / "kept_sides.npy").is_file():
            *batch, sides = (np.load(folder / f"kept_{name}.npy") for name in _KEPT)
            kept = Kept(Batch(*batch), sides)
        found = {name: folder / f"{name}.npy" for name in _OPTIONAL}
        arrays |= {name: np.load(path) for name, path in found.items() if path.is_file()}
        return cls(
            **arrays,
            n_classes=told["n_classes"],
            temperature=told["temperature"],
            kept=kept,
            shaped=told.get("shaped", False),
            unknown_share=told.get("unknown_share"),
        )


@dataclass(frozen=True)
class Terms:
    """How long to learn and in what steps; more passes over few names, in larger steps.

    Examples
    --------
    >>> Terms.of(1_000), Terms.of(1_000_000)
    (Terms(passes=10, step=0.86), Terms(passes=3, step=0.43))
    """

    passes: int
    step: float

    @classmethod
    def of(cls, n_rows: int) -> Self:
        """Choose by how many names there are to learn from."""
        passes = int(np.clip(-(-PASSES // max(1, n_rows)), 3, 10))
        return cls(passes, round(0.43 + 0.43 * (passes - 3) / 7, 4))


def places_of(buckets: IntArray) -> IntArray:
    """Return bucket to place among the given ones, -1 for all others."""
    places = np.full(1 << BITS, -1, np.int32)
    places[buckets] = np.arange(len(buckets), dtype=np.int32)
    return places


def counted(batches: Iterable[Batch]) -> IntArray:
    """Return how often each bucket occurs in these names, int64 (2 ** BITS,)."""
    counts = np.zeros(1 << BITS, np.int64)
    for batch in batches:
        count_terms(batch.data, batch.offsets, batch.cuts, batch.rows, BITS, counts)
    return counts


def ruled_shares(codes: IntArray, sure: FloatArray, n_classes: int) -> FloatArray:
    """Return probabilities (n, n_classes) that a rule stands for; the rest is spread evenly."""
    rest = (1.0 - sure) / max(1, n_classes - 1)
    shares = np.repeat(rest[:, None], n_classes, axis=1)
    shares[np.arange(len(codes)), codes] = sure
    return shares


def name_bytes(names: Array | Sequence[str]) -> tuple[Array, IntArray]:
    """Return normalised names as one array of bytes and its offsets, int64 (n + 1,)."""
    column = pa.array(names, pa.large_string())
    if column.null_count:
        raise DataError("a normalised name is missing; expected text, empty for what is no name.")
    return text_bytes(column)


def text_bytes(column: pa.Array) -> tuple[Array, IntArray]:
    """Return an Arrow array of large strings or binaries as bytes and offsets of our own.

    They are copied, since compiled loops are compiled again for arrays that cannot be written.
    """
    if not len(column):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, 8 * column.offset)
    raw = column.buffers()[2]
    data = b"" if raw is None else memoryview(raw)[offsets[0] : offsets[-1]]
    return np.frombuffer(data, np.uint8).copy(), offsets - offsets[0]
