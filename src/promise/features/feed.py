"""Events and labels that nobody waits for an answer to: into the store, once, from any thread."""

from __future__ import annotations

from dataclasses import dataclass

from promise.features.event import Event
from promise.features.model_views import ModelViews
from promise.features.seen_log import Kind, SeenLog
from promise.features.store import Held, Store
from promise.features.stores.folding import fold_long_tails

TAIL_LIMIT, TAIL_KEPT = 48, 16
"""Tails of so many payloads are folded but for the newest, so that retries stay exact."""


@dataclass(frozen=True)
class Feed:
    """Takes records of one model into its store.

    Parameters
    ----------
    store
        Of the installation.
    log
        Told what each record met, for the parity check.
    """

    views: ModelViews
    store: Store
    log: SeenLog

    def event(self, event: Event) -> bool:
        """Take in a transaction that is not decided on; say whether it was new.

        Raises
        ------
        DataError
            When an id or key cannot be kept.
        StateError
            When the store is away; send it again with the same id.
        """
        keys = [*self.views.keys(event), self.views.about(event.id)]
        payload = event.packed()
        found = self.store.exchange(self.views.event_id(event), event.at, keys, payload)
        return self._taken(event.id, "event", keys, payload, found)

    def label(self, answer: str, value: float, known_at: int, *, id: str) -> bool | None:
        """Take in what came true of an answer or event; None where the store knows no such event.

        Parameters
        ----------
        answer
            The id of the answer, or of an event that was sent without asking for one.
        value
            Above 0 is a positive.
        known_at
            From when on features may use it, in microseconds since 1970.
        id
            The label's own: the same again changes nothing.
        """
        (held,) = self.store.read([self.views.about(answer)])
        label = self.views.label_of(held, value, known_at)
        if label is None:
            return None
        keys, payload = self.views.label_keys(label), label.packed()
        if not keys:
            return False
        found = self.store.exchange(label_id(self.views.model, id), known_at, keys, payload)
        return self._taken(id, "label", keys, payload, found)

    def _taken(
        self, id: str, kind: Kind, keys: list[str], payload: bytes, found: list[Held]
    ) -> bool:
        before = dict(zip(keys, found, strict=True))
        if found[0].duplicate:
            # whoever sent it first may have died before it could tell
            if all(held.exact for held in found):
                known: Kind = "again" if kind == "event" else kind
                self.log.note(self.views.model, id, known, payload, before)
            return False
        self.log.note(self.views.model, id, kind, payload, before)
        fold_long_tails(self.store, keys, found, self.views.fold, limit=TAIL_LIMIT, keep=TAIL_KEPT)
        return True


def label_name(answer: str, source: str, revision: int) -> str:
    """Return the id of a label: of one answer, by one source, one of its revisions.

    Examples
    --------
    >>> label_name("k3x9qa.0-mabc1234-0000001", "api", 1)
    'k3x9qa.0-mabc1234-0000001/api/1'
    """
    return f"{answer}/{source}/{revision}"


def label_id(model: str, id: str) -> str:
    """Return the id under which a store counts a label once."""
    return f"{model}/label:{id}"
