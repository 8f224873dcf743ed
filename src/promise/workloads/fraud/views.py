"""The feature views of any event table, from the roles that its columns play."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from promise.features.declare import (
    Count,
    Distinct,
    Feature,
    Hour,
    IsNight,
    Last,
    Log,
    Max,
    Mean,
    NeighbourRate,
    Plain,
    PositiveStreak,
    Rate,
    Ratio,
    Recency,
    Streak,
    Sum,
    Value,
    Weekday,
)
from promise.features.event import AMOUNT
from promise.features.graph import edge_view, node_view
from promise.features.keyed import ENTITIES, Keyed
from promise.features.sets import FeatureSet
from promise.features.view import FeatureView

VERSION = 2
"""Of all views here; it grows with every change of a declaration."""

SMOOTHING = 10.0
"""How many events the prior of a rate weighs."""

WIDE = ("5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "3d", "7d", "14d", "30d")
_SMALL = 10.0  # a run of small amounts is how stolen cards are tried out
_LARGEST = "7d"  # what a stolen card was drained by stands out against its month
_LONG = ("1d", "3d", "7d", "14d", "30d")
_NODES = ("device", "ip")
_PLACES = ("user_agent", "location")


def views_of(
    roles: Collection[str],
    label_delay: str,
    wide: bool = False,
    *,
    prior: float = 0.01,
    numbers: Sequence[str] = (),
) -> FeatureSet:
    """Return the views that the roles of a table allow: the same names for any table.

    Parameters
    ----------
    roles
        Which of `entity`, `other`, `amount`, `device`, `ip`, `user_agent` and `location` the
        table has.
    label_delay
        How long labels take; rates of labels look at windows that end so long before an event.
    wide
        Many windows instead of few: 247 features of `entity`, `other` and `amount`.
    prior
        The rate of an entity that nothing is known of.
    numbers
        Further numbers of the event, taken as they are.

    Examples
    --------
    >>> base = ("entity", "other", "amount")
    >>> len(views_of(base, "7d").columns), len(views_of(base, "7d", wide=True).columns)
    (40, 247)
    """
    declare = _Declared(frozenset(roles), label_delay, prior)
    views = [FeatureView("now", (), declare.now(numbers), VERSION)]
    for role, counterpart in (("entity", "other"), ("other", "entity")):
        if role in roles:
            features = declare.wide(role, counterpart) if wide else declare.usual(role)
            views.append(FeatureView(role, (role,), features, VERSION))
    if {"entity", "other"} <= set(roles):
        features = declare.wide_pair() if wide else declare.pair()
        views.append(FeatureView("pair", ("entity", "other"), features, VERSION))
    return FeatureSet((*views, *declare.optional()))


def keyed_of(
    columns: Mapping[str, str],
    label_delay: str,
    *,
    wide: bool = False,
    prior: float = 0.01,
    numbers: Sequence[str] = (),
) -> Keyed:
    """Return the Featurize stage of a table of events.

    Parameters
    ----------
    columns
        Role to field, as a fraud task names them; `label` and `known_at` are no part of a request.
    """
    asked = {r: n for r, n in columns.items() if r in ("id", "time", AMOUNT, *ENTITIES)}
    features = views_of(tuple(asked), label_delay, wide, prior=prior, numbers=numbers)
    return Keyed(features, asked, numbers=tuple(numbers), label_delay=label_delay)


class _Declared:
    """Declarations for one set of roles; without amounts, what needs them is left out."""

    def __init__(self, roles: frozenset[str], label_delay: str, prior: float) -> None:
        self._roles = roles
        self._delay = label_delay
        self._prior = prior

    def now(self, numbers: Sequence[str]) -> tuple[Feature, ...]:
        """Return features of the event alone."""
        money: tuple[Feature, ...] = (Value(AMOUNT), Log(AMOUNT)) if AMOUNT in self._roles else ()
        return (*money, Hour(), Weekday(), IsNight(), *(Value(name) for name in numbers))

    def usual(self, role: str) -> tuple[Feature, ...]:
        """Return the history of the payer, or of who is paid."""
        return self._payer() if role == "entity" else self._paid()

    def pair(self) -> tuple[Feature, ...]:
        """Return what these two had to do with each other."""
        return (Count("30d"), Recency("30d"))

    def wide(self, role: str, counterpart: str) -> tuple[Feature, ...]:
        """Return every window of one role's history."""
        per_window: list[Feature] = []
        for window in WIDE:
            per_window += [Count(window), *self._money(window), *self._fan(counterpart, window)]
        paces = [Ratio(Count(w), Count("30d")) for w in WIDE[1:-1]]
        drifts = [
            Ratio(Mean(AMOUNT, w), Mean(AMOUNT, "30d")) for w in WIDE[2:-1] if self._has_amount
        ]
        rates = [*(self._rate(window) for window in _LONG), self._streak()]
        near: list[Feature] = [Recency("30d")]
        if self._has_amount:
            near += [*self._peaks(), Last(AMOUNT), Streak(AMOUNT, below=_SMALL)]
        if role == "other" and counterpart in self._roles:
            near += [self._neighbours(counterpart, window) for window in _LONG]
        return (*per_window, *paces, *drifts, *rates, *near)

    def wide_pair(self) -> tuple[Feature, ...]:
        """Return every window of what these two had to do with each other."""
        per_window: list[Feature] = []
        for window in WIDE:
            per_window += [Count(window), *self._money(window)]
        near: list[Feature] = [Ratio(Count("7d"), Count("30d")), Recency("30d")]
        if self._has_amount:
            near += [Last(AMOUNT), Streak(AMOUNT, below=_SMALL)]
        return (*per_window, *near, *(self._rate(window) for window in _LONG))

    def optional(self) -> tuple[FeatureView, ...]:
        """Return views of devices, addresses, programs and places, as far as they are told."""
        views = []
        for role in _NODES:
            if role in self._roles:
                views.append(
                    node_view(
                        role, role, "entity", label_delay=self._delay,
                        prior=self._prior, smoothing=SMOOTHING, version=VERSION,
                    )
                )  # fmt: skip
                views.append(edge_view(f"entity_{role}", "entity", role, version=VERSION))
        for role in _PLACES:
            if role in self._roles:
                known: tuple[Feature, ...] = (Count("7d"), self._rate("30d"))
                views.append(FeatureView(role, (role,), known, VERSION))
                views.append(
                    edge_view(f"entity_{role}", "entity", role, windows=("30d",), version=VERSION)
                )
        return tuple(views)

    @property
    def _has_amount(self) -> bool:
        return AMOUNT in self._roles

    def _payer(self) -> tuple[Feature, ...]:
        found: list[Feature] = [Count(window) for window in ("10m", "1h", "1d", "7d", "30d")]
        if self._has_amount:
            found += [Sum(AMOUNT, "1d"), *(Mean(AMOUNT, w) for w in ("7d", "30d"))]
            found += [Ratio(Value(AMOUNT), Mean(AMOUNT, w)) for w in ("7d", "30d")]
            found += [*self._peaks(), Ratio(Value(AMOUNT), Max(AMOUNT, _LARGEST))]
        if "other" in self._roles:
            found += [Distinct("other", "1d"), Distinct("other", "30d")]
        found += [Ratio(Count("1d"), Count("30d")), Recency("30d")]
        return (*found, self._rate("7d"), self._rate("30d"))

    def _paid(self) -> tuple[Feature, ...]:
        found: list[Feature] = [Count(window) for window in ("1h", "1d", "7d", "30d")]
        if self._has_amount:
            found += [Mean(AMOUNT, "7d"), Ratio(Value(AMOUNT), Mean(AMOUNT, "30d"))]
        found += [Distinct("entity", "7d"), Ratio(Count("1d"), Count("30d")), Recency("30d")]
        found += [self._rate(window) for window in ("7d", "14d", "30d")]
        return (*found, self._streak(), self._neighbours("entity", "30d"))

    def _money(self, window: str) -> tuple[Feature, ...]:
        if not self._has_amount:
            return ()
        mean = Mean(AMOUNT, window)
        return (Sum(AMOUNT, window), mean, Ratio(Value(AMOUNT), mean))

    def _fan(self, counterpart: str, window: str) -> tuple[Feature, ...]:
        return (Distinct(counterpart, window),) if counterpart in self._roles else ()

    def _rate(self, window: str) -> Plain:
        return Rate("label", window, self._delay, self._prior, SMOOTHING)

    def _streak(self) -> Plain:
        return PositiveStreak("30d", self._delay)

    @staticmethod
    def _peaks() -> tuple[Feature, ...]:
        largest = Max(AMOUNT, _LARGEST)
        return (largest, Ratio(largest, Mean(AMOUNT, "30d")))

    def _neighbours(self, counterpart: str, window: str) -> Plain:
        return NeighbourRate(counterpart, window, self._delay, self._prior, SMOOTHING)
