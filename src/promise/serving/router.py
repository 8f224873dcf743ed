"""Who answers one request: sticky, by a hash of the entity and the rollout's salt."""

from __future__ import annotations

from hashlib import blake2b

from promise.registry.lifecycle import BUCKETS, Route

_SEPARATOR = b"\x1f"  # keeps ("a", "bc") and ("ab", "c") apart
_EXPERIMENT = "experiment\x1f"
_CANARY_STAGES = ("canary", "bake")


def bucket(salt: str, entity: str) -> int:
    """Return the bucket (0 … 9,999) of an entity under a salt, by blake2b.

    Examples
    --------
    >>> bucket("spring", "customer 7") == bucket("spring", "customer 7")
    True
    >>> bucket("spring", "customer 7"), bucket("autumn", "customer 7")
    (4637, 5084)
    """
    digest = blake2b(salt.encode() + _SEPARATOR + entity.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def splits(route: Route) -> bool:
    """Say whether more than one version answers, so that the entity matters."""
    return bool(route.experiment) or _canary_share(route) > 0


def choose(route: Route, entity: str) -> tuple[int, str]:
    """Return (version, arm) that answers; a growing share only ever adds entities to the canary.

    The canary takes the buckets from 0 up. An experiment deals by a salt part of its own, so that
    its groups and a rollout's do not overlap by more than chance; its versions take ranges in the
    order of their numbers. Within an experiment the live version's range counts as `live`, since
    every other request of it is an equally random one.

    Raises
    ------
    ValueError
        Nothing is live, so nobody can answer.
    """
    if route.live is None:
        raise ValueError(f"nothing is live for {route.name!r}")
    share = _canary_share(route)
    if share and route.candidate is not None and bucket(route.salt, entity) < share:
        return route.candidate, "canary"
    if route.experiment:
        return _in_experiment(route, entity, route.live)
    return route.live, "live"


def _canary_share(route: Route) -> int:
    active = route.candidate is not None and route.stage in _CANARY_STAGES
    return route.share if active else 0


def _in_experiment(route: Route, entity: str, live: int) -> tuple[int, str]:
    dealt = bucket(_EXPERIMENT + route.salt, entity)
    end = 0
    for version, share in sorted(route.experiment.items()):
        end += share
        if dealt < end:
            return version, "live" if version == live else "experiment"
    return live, "live"
