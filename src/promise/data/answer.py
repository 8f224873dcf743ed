"""The kinds of answer a model can give; each decides wire format, file columns and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promise.errors import ArtifactError


@dataclass(frozen=True)
class Number:
    """A quantity: predictions are float64 of shape (n,)."""

    unit: str | None = None


@dataclass(frozen=True)
class Class:
    """One of a fixed list of classes: predictions are probabilities of shape (n, n_classes).

    Labels are stored as codes into `classes`, in this order.

    Parameters
    ----------
    unknown
        What is answered where nothing is known; None where a class is always named.
    """

    classes: tuple[str, ...]
    unknown: str | None = None

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


@dataclass(frozen=True)
class Labels:
    """Any subset of a fixed list: independent probabilities of shape (n, n_labels)."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Ranking:
    """An ordered list of at most `limit` candidates per request."""

    limit: int = 20


@dataclass(frozen=True)
class Decision:
    """One of a few actions, taken from a calibrated score: approve, review, decline.

    Raw outputs are probabilities of shape (n, 2); labels are codes into `outcomes`.

    Parameters
    ----------
    outcomes
        What may come true later, the harmless one first.
    """

    actions: tuple[str, ...] = ("approve", "review", "decline")
    outcomes: tuple[str, str] = ("0", "1")


Answer = Number | Class | Labels | Ranking | Decision


def truths(answer: Answer) -> tuple[str, ...]:
    """Return what a label may say, in the order of its codes; () where a label is no code.

    Examples
    --------
    >>> truths(Class(("no", "yes"))), truths(Decision()), truths(Number())
    (('no', 'yes'), ('0', '1'), ())
    """
    if isinstance(answer, Class):
        return answer.classes
    return answer.outcomes if isinstance(answer, Decision) else ()


_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind for kind in (Number, Class, Labels, Ranking, Decision)
}


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """Return a JSON-ready description that `answer_from_json` reads back.

    Examples
    --------
    >>> answer_to_json(Class(("no", "yes")))
    {'kind': 'class', 'classes': ['no', 'yes']}
    """
    told = {k: v for k, v in vars(answer).items() if v is not None}
    fields = {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}
    return {"kind": type(answer).__name__.lower(), **fields}


def answer_from_json(data: dict[str, Any]) -> Answer:
    """Rebuild an answer kind; an unknown kind is refused, since its wire format is unknown."""
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"}
    if data.get("kind") not in _KINDS:
        raise ArtifactError(
            f"answer kind {data.get('kind')!r} is unknown here; known: {', '.join(_KINDS)}."
        )
    answer: Answer = _KINDS[data["kind"]](**fields)
    return answer
