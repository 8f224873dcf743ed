"""Prometheus rules made from promises: who must know before a promise is broken, and when."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from promise.promises.measures import tolerated_share
from promise.promises.spec import ModelFile, Promise

Rule = dict[str, Any]

WINDOWS = (("5m", "30m", 2.0, "page"), ("1h", "6h", 1.0, "ticket"))
"""Short window, long window, multiple of the tolerated share in both, and severity.

Two windows together neither fire at a single bad minute nor stay on for hours after it."""

_ANSWERED = 'arm=~"live|canary|experiment"'
_SHED_SHARE = 0.01
_STALE_S = 60


def rules_for(name: str, declared: ModelFile) -> dict[str, Any]:
    """Return the rules of one model, as a Prometheus rules file holds them.

    Shares of errors and of slow answers burn against their promise over a short and a long
    window; every promise has an alert for its verdict, which rests on the better statistics of
    the reconciler. Parts of a promise that Prometheus cannot see (metrics of the task, drift,
    fairness) have that alone.

    Examples
    --------
    >>> promise = Promise("speed", "latency_p99", at_most=12.0, on_break=("rollback",))
    >>> rules = rules_for("fraud", ModelFile(promises=(promise,)))["groups"][0]["rules"]
    >>> [rule["alert"] for rule in rules][:2]
    ['PromiseLatencyBurning', 'PromiseLatencyBurning']
    """
    rules: list[Rule] = []
    for promise in declared.promises:
        rules += _burning(name, promise)
        rules += _memory(name, promise)
        rules.append(_broken(name, promise))
    rules.append(_fallbacks(name))
    rules.append(_not_loaded(name))
    return {"groups": [{"name": f"promise-{name}", "interval": "30s", "rules": rules}]}


def installation_rules() -> dict[str, Any]:
    """Return the rules that every installation needs once, whatever its models promise."""
    by = "sum by (model, version, arm)"
    recorded: list[Rule] = [
        {
            "record": "promise:requests:rate5m",
            "expr": f"{by} (rate(promise_requests_total[5m]))",
        },
        {
            "record": "promise:error_share:rate5m",
            "expr": f"{by} (rate(promise_errors_total[5m])) / "
            f"({by} (rate(promise_requests_total[5m])) > 0)",
        },
        {
            "record": "promise:latency_seconds:p99_5m",
            "expr": "histogram_quantile(0.99, sum by (model, version, arm, le) "
            "(rate(promise_request_seconds_bucket[5m])))",
        },
    ]
    alerts = [
        _alert(
            "PromiseRecordsDropped",
            "sum by (instance) (increase(promise_log_dropped_total[15m])) > 0",
            "page",
            "The prediction log of {{ $labels.instance }} drops lines.",
            "Its disk is full or too slow; answers go on, but what was answered is not kept. "
            "Free space under PROMISE_RECORDS.",
        ),
        _alert(
            "PromiseLossWindowLong",
            "max by (instance) (promise_log_oldest_seconds) > 5",
            "ticket",
            "The prediction log of {{ $labels.instance }} is {{ $value | humanizeDuration }} late.",
            "So much would be lost by a crash now. See whether its disk keeps up.",
            wait="2m",
        ),
        _alert(
            "PromiseDatabaseStale",
            f"max by (instance) (promise_database_stale_seconds) > {_STALE_S}",
            "page",
            "{{ $labels.instance }} has not reached the database for "
            "{{ $value | humanizeDuration }}.",
            "It goes on answering with its last known routes; deployments, rollbacks and keys "
            "wait. Check PROMISE_DATABASE.",
        ),
        _alert(
            "PromiseShedding",
            "sum by (instance) (rate(promise_shed_total[5m])) / "
            "(sum by (instance) (rate(promise_shed_total[5m])) + "
            f"sum by (instance) (rate(promise_requests_total[5m])) > 0) > {_SHED_SHARE:g}",
            "page",
            "{{ $labels.instance }} refuses {{ $value | humanizePercentage }} of its requests.",
            "Too many are in flight, so it answers 429: add workers or replicas.",
            wait="5m",
        ),
        _alert(
            "PromiseNotReady",
            "max by (instance) (promise_ready) == 0",
            "page",
            "{{ $labels.instance }} wants no traffic.",
            "A live version is not loaded, or it is draining for too long: see its /readyz.",
            wait="5m",
        ),
        _alert(
            "PromiseAbsent",
            "absent(promise_ready)",
            "page",
            "No server of Promise is scraped.",
            "Every server is gone, or Prometheus does not reach /metrics.",
            wait="5m",
        ),
    ]
    rules = [*recorded, *alerts]
    return {"groups": [{"name": "promise-installation", "interval": "30s", "rules": rules}]}


def _alert(
    alert: str,
    expr: str,
    severity: str,
    summary: str,
    description: str,
    *,
    wait: str = "0s",
    **labels: str,
) -> Rule:
    return {
        "alert": alert,
        "expr": expr,
        "for": wait,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary, "description": description},
    }


def _plain(text: str) -> str:
    """Return a user's text so that Prometheus' templates leave it as it is."""
    return text.replace("{{", '{{ "{{" }}')


def _rate(metric: str, name: str, window: str, *more: str) -> str:
    labels = ", ".join((f'model="{name}"', _ANSWERED, *more))
    return f"sum(rate({metric}{{{labels}}}[{window}]))"


def _burning(name: str, promise: Promise) -> Iterator[Rule]:
    """Yield alerts for a promise that tolerates a share of bad requests, and for its warning."""
    tolerated = tolerated_share(promise.that, promise.bound)
    if tolerated is None:
        return
    labels: tuple[str, ...] = ()
    metric, alert, what = "promise_errors_total", "PromiseErrorsBurning", "fail"
    if promise.that != "request_errors":
        labels = (f'target_ms="{promise.bound:g}"',)
        metric, alert = "promise_over_target_total", "PromiseLatencyBurning"
        what = f"take longer than {promise.bound:g} ms"
    shares = [(*window, tolerated) for window in WINDOWS]
    if promise.warn is not None and promise.that == "request_errors":
        shares.append(("1h", "6h", 1.0, "warning", promise.warn))
    for short, long, factor, severity, share in shares:
        # beyond one half, a multiple of the share would never be reached
        limit = min(factor * share, (1 + share) / 2)
        over = [
            f"({_rate(metric, name, window, *labels)} / "
            f"({_rate('promise_requests_total', name, window)} > 0) > {limit:g})"
            for window in (short, long)
        ]
        # one failure among the first ten requests of a night proves nothing
        enough = _rate("promise_requests_total", name, long).replace("rate(", "increase(", 1)
        yield _alert(
            alert,
            "\nand\n".join((*over, f"({enough} > {math.ceil(3 / share)})")),
            severity,
            f"{{{{ $value | humanizePercentage }}}} of the requests to {name} {what}.",
            f"Promised are at most {share:.4g} of them (promise {_plain(promise.key)!r}); "
            f"looked at over {short} and {long}.",
            model=name,
            promise=_plain(promise.key),
        )


def _memory(name: str, promise: Promise) -> Iterator[Rule]:
    if promise.that == "memory":
        # each scrape meets one worker; within minutes every slot was met
        total = "sum by (instance) (max_over_time(promise_worker_pss_bytes[10m]))"
        yield _alert(
            "PromiseMemoryHigh",
            f"{total} / 1048576 > {promise.bound:g}",
            "ticket",
            "The workers of {{ $labels.instance }} hold {{ $value | humanize }} MiB.",
            f"{name} promises at most {promise.bound:g} MiB (promise {_plain(promise.key)!r}).",
            wait="10m",
            model=name,
            promise=_plain(promise.key),
        )


def _broken(name: str, promise: Promise) -> Rule:
    side = "at most" if promise.at_most is not None else "at least"
    about = f" of {_plain(promise.of)}" if promise.of else ""
    acts = " and ".join(promise.on_break)
    return _alert(
        "PromiseBroken",
        f'min(promise_verdict{{model="{name}", promise={json.dumps(promise.key)}}}) == -1',
        "page" if {"rollback", "hold"} & set(promise.on_break) else "ticket",
        f"{name} breaks its promise {_plain(promise.key)!r}.",
        f"Promised is {promise.that}{about} {side} {promise.bound:g}; what follows by itself: "
        f"{acts}. See `promise status {name}`.",
        model=name,
        promise=_plain(promise.key),
    )


def _fallbacks(name: str) -> Rule:
    share = (
        f"{_rate('promise_fallbacks_total', name, '10m')} / "
        f"({_rate('promise_requests_total', name, '10m')} > 0)"
    )
    return _alert(
        "PromiseFallingBack",
        f"{share} > 0.01",
        "ticket",
        f"{{{{ $value | humanizePercentage }}}} of the answers of {name} are fallbacks.",
        "The live version fails or is too slow; the version before it, or the heuristic, answers.",
        wait="5m",
        model=name,
    )


def _not_loaded(name: str) -> Rule:
    return _alert(
        "PromiseVersionNotLoaded",
        f'max by (instance) (promise_failed_versions{{model="{name}"}}) > 0',
        "page",
        f"{{{{ $labels.instance }}}} cannot load a version of {name}.",
        "Its files are missing or damaged: see /readyz, and restore them from a backup.",
        wait="2m",
        model=name,
    )


def as_yaml(rules: dict[str, Any]) -> str:
    """Return rules as the YAML that Prometheus reads; texts are quoted, so nothing is guessed.

    Examples
    --------
    >>> print(as_yaml({"groups": [{"name": "a", "rules": [{"record": "b", "expr": "1"}]}]}), end="")
    groups:
      - name: "a"
        rules:
          - record: "b"
            expr: "1"
    """
    return "".join(_lines(rules, 0))


def _lines(value: dict[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for key, child in value.items():
        if isinstance(child, dict):
            yield f"{pad}{key}:\n"
            yield from _lines(child, depth + 1)
        elif isinstance(child, list):
            yield f"{pad}{key}:\n"
            for item in child:
                inner = "".join(_lines(item, depth + 2))
                yield f"{pad}  - {inner[2 * (depth + 2) :]}"
        else:
            yield f"{pad}{key}: {json.dumps(child, ensure_ascii=False)}\n"
