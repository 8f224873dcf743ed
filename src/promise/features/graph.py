"""Graph features with bounded state: what a node's neighbourhood looked like before an event.

Events are edges between two roles: a card and a terminal, an account and a device. A node keeps
its own edges, no more: degree, distinct counterparts and the delayed rate of positives among the
counterparts all come from there, within the window (expiry) and the fan-out cap. A pair of roles
as `entity` of a `FeatureView` gives the edge itself: how often these two met, and how recently.
"""

from __future__ import annotations

from collections.abc import Sequence

from promise.features.declare import (
    Count,
    Distinct,
    Feature,
    NeighbourRate,
    Rate,
    Ratio,
    Recency,
)
from promise.features.view import FeatureView


def node_view(
    name: str,
    node: str,
    counterpart: str,
    *,
    windows: Sequence[str] = ("1d", "7d", "30d"),
    label_delay: str | None = None,
    prior: float = 0.0,
    smoothing: float = 0.0,
    cap: int = 256,
    version: int = 1,
) -> FeatureView:
    """Declare the neighbourhood of one kind of node.

    Parameters
    ----------
    node, counterpart
        Roles: features of the node, counted over its counterparts.
    windows
        For each: degree (events), distinct counterparts, and counterparts for each event.
    label_delay
        How long labels need; None: labels are not used.
    cap
        Fan-out: of a fuller window the newest so many events are looked at.

    Examples
    --------
    >>> node_view("device", "device", "entity", windows=("1d",), label_delay="7d").columns
    ('device.count_1d', 'device.distinct_entity_1d', 'device.distinct_entity_1d_over_count_1d', \
'device.rate_label_1d', 'device.neighbour_rate_entity_1d')
    """
    features: list[Feature] = []
    for window in windows:
        degree, counterparts = Count(window), Distinct(counterpart, window, cap)
        features += [degree, counterparts, Ratio(counterparts, degree)]
        if label_delay is not None:
            features += [
                Rate("label", window, label_delay, prior, smoothing),
                NeighbourRate(counterpart, window, label_delay, prior, smoothing, cap),
            ]
    return FeatureView(name, (node,), tuple(features), version)


def edge_view(
    name: str, one: str, other: str, *, windows: Sequence[str] = ("1d", "30d"), version: int = 1
) -> FeatureView:
    """Declare what these two had to do with each other before: how often, and how recently.

    Examples
    --------
    >>> edge_view("pair", "entity", "device", windows=("30d",)).columns
    ('pair.count_30d', 'pair.recency_30d')
    """
    features: list[Feature] = []
    for window in windows:
        features += [Count(window), Recency(window)]
    return FeatureView(name, (one, other), tuple(features), version)
