"""What the installation knows of a name that decides whether it is trained again."""

from __future__ import annotations

from dataclasses import dataclass, field

from promise.clock import Clock
from promise.errors import DataError
from promise.pipeline.order import lists_workload
from promise.promises.spec import ModelFile
from promise.records.decisions import Decisions
from promise.records.events import Events
from promise.records.labelled import LabelCount
from promise.registry.registry import Registry
from promise.registry.revisions import Revisions
from promise.registry.route import Route
from promise.registry.verdicts import Judged, Verdicts
from promise.registry.versions import Version
from promise.retraining.lists import decision_types, learned_until
from promise.retraining.runs import CONCLUDED, Run, Runs
from promise.retraining.triggers import Facts
from promise.rollout.wishes import Wish, Wishes
from promise.state.database import Database

BROKEN, BY_HAND = "retrain", "retrain by hand"
"""Wishes: what the reconciler asks for when a promise is broken, and a person."""

_COUNTING = {"every_rows", "schedule"}  # of `[retrain]`: what looks at new labels


@dataclass
class FactReader:
    """Reads the facts of one name after another.

    Parameters
    ----------
    registry
        Of the installation, at the reader's clock.
    """

    registry: Registry
    clock: Clock
    _label_numbers: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.wishes = Wishes(self.database, self.clock)
        self.runs = Runs(self.database, self.clock)
        self.labels = LabelCount(self.database)
        self._revisions = Revisions(self.database, self.clock)
        self._verdicts = Verdicts(self.database, self.clock)

    @property
    def database(self) -> Database:
        """The installation's database."""
        return self.registry.database

    def read(self, name: str, route: Route | None = None) -> Facts:
        """Return the facts of a name as they are now."""
        route = route or self.registry.lifecycle.route(name)
        revision = self._revisions.current(name)
        declared, runs = revision.declared, self.runs.of(name)
        ended = tuple(run for run in runs if run.state != "running")
        live = None if route.live is None else self.registry.get(f"{name}@{route.live}")
        if live is None:
            return Facts(name, self.clock.now(), declared.retrain)
        wishes = {wish.what: wish for wish in self.wishes.open() if wish.name == name}
        judged = self._verdicts.current(name, live.number)
        return Facts(
            name=name,
            now=self.clock.now(),
            retrain=declared.retrain,
            live=live.number,
            trained_at=live.created,
            declared_at=revision.created,
            candidate=route.candidate,
            new_labels=self._new_labels(live, ended) if _COUNTING & declared.retrain.keys() else 0,
            unit="decisions" if lists_workload(live.workload) else "labelled rows",
            broken=self._broken(live, judged, declared, wishes.get(BROKEN)),
            drifted=tuple(
                j.verdict.promise for j in judged if j.verdict.that == "psi" and _broken_live(j)
            ),
            asked=wishes[BY_HAND].reason if BY_HAND in wishes else None,
            runs=ended,
        )

    def _new_labels(self, live: Version, ended: tuple[Run, ...]) -> int:
        """Count labelled rows since the live version, or a later one that it beat, was trained.

        Of a version that answers with lists what counts are decisions that its log tells.
        """
        if lists_workload(live.workload) is not None:
            return self._new_decisions(live, ended)
        key = (live.name, live.number)
        for run in ended:
            if run.state in CONCLUDED and live.number in (run.live, run.version):
                return self.labels.count(live.name, run.label_number)
        if key not in self._label_numbers:
            self._label_numbers[key] = self.labels.number_at(live.created)
        return self.labels.count(live.name, self._label_numbers[key])

    def _new_decisions(self, live: Version, ended: tuple[Run, ...]) -> int:
        decisions = Decisions(self.database, live.name, decision_types(live))
        number, later = learned_until(live)
        for run in ended:
            if run.state in CONCLUDED and live.number in (run.live, run.version):
                number = max(number, run.label_number)
                break
        return decisions.since(number, later)

    def last_number(self, live: Version) -> int:
        """Return the number of the newest label; of the newest event where those are learned."""
        if lists_workload(live.workload) is not None:
            return Events(self.database).head()
        return self.labels.last()

    def _broken(
        self, live: Version, judged: list[Judged], declared: ModelFile, wish: Wish | None
    ) -> tuple[str, ...]:
        """Return why promises ask for a retraining; a wish that is moot is struck out."""
        if wish is None:
            return ()
        asking = {p.key for p in declared.promises if "retrain" in p.on_break}
        broken = {j.verdict.promise for j in judged if _broken_live(j)}
        if wish.at < live.created or not asking & broken:
            self.wishes.fulfil(wish.name, wish.what)
            return ()
        return (wish.reason,)


def _broken_live(judged: Judged) -> bool:
    return judged.stage == "live" and judged.verdict.status == "BROKEN"


def named(registry: Registry, name: str) -> Route:
    """Return the route of a name that is live, or say why it cannot be trained again.

    Raises
    ------
    DataError
        When there is no such model, or none of its versions is live.
    """
    route = registry.lifecycle.route(name)
    if route.live is None:
        version = registry.get(name)
        raise DataError(
            f"nothing is live for {name}, so there is nothing to train again; "
            f"run `promise deploy {version}`."
        )
    return route
