"""The Prometheus page: counts of all worker slots merged, and how each of them stands."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from promise.engine.memory import pss_mb
from promise.records.counters import LATENCY_EDGES_MS, Series, merged
from promise.registry.lifecycle import Stage
from promise.serving.call import Call, Reply
from promise.serving.catalogue import Catalogue
from promise.serving.endpoints import Snapshot
from promise.serving.problems import OF_NO_MODEL
from promise.serving.standing import Standing, standings
from promise.serving.worker import Worker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
VERDICTS_S = 5.0
"""How long verdicts read from the database are shown before they are read again."""

_PATIENCE_S = 0.5  # a database that hangs must not take the page with it
_LOG = logging.getLogger(__name__)
_LABELS = ("model", "version", "arm")
_STATUS = {"KEPT": 1.0, "UNKNOWN": 0.0, "BROKEN": -1.0}
_PLAIN_COUNTS = {
    "requests": "Requests that were answered or failed.",
    "rows": "Rows that were answered.",
    "errors": "Requests that got no answer, or only a fallback, through our fault.",
    "fallbacks": "Requests that another version or the heuristic answered.",
    "cached": "Requests that the response cache answered.",
}
_TOTALS = {
    "shed": "Requests refused because too many were in flight.",
    "bad_requests": "Requests refused because of what they held.",
    "too_large": "Requests refused because of their size.",
    "unknown_model": "Requests for models that are not deployed.",
    "late": "Requests whose deadline passed.",
    "unanswered": "Requests that no version could answer.",
    "server_errors": "Requests that failed in an unforeseen way.",
    "slow_clients": "Requests whose body came too slowly.",
    "disconnected": "Requests whose client left.",
    "store_away": "Requests left to a person because the event store did not answer.",
    "events_late": "Events that the store took after it had been away.",
    "events_lost": "Events that no store took: it was away too long.",
    "labels_unmatched": "Labels that are kept, and whose event the store does not know.",
    "reasons_dropped": "Answers whose exact contributions found no room.",
}


_LOG_GAUGES = {
    "log_waiting": (
        "promise_log_waiting", "Lines of the prediction log that are in no file yet.",
    ),
    "log_oldest_s": ("promise_log_oldest_seconds", "Age of the oldest line in no file yet."),
    "log_worst_s": ("promise_log_worst_loss_window_seconds", "Longest that a line waited."),
}  # fmt: skip
"""Field of a worker's standing to the gauge that shows it."""
_PROCESS_GAUGES = {
    "events_waiting": (
        "promise_events_waiting", "Events that the event store has not taken yet.",
    ),
    "reasons_waiting": (
        "promise_reasons_waiting", "Answers that are owed exact contributions.",
    ),
    "stale_s": (
        "promise_database_stale_seconds",
        "Seconds since the database last answered; 0 while it does.",
    ),
    "ready": ("promise_ready", "1 where a worker wants traffic."),
}  # fmt: skip


_TEXT_COUNTS = {
    "texts_found": "Texts whose vector the cache had.",
    "texts_computed": "Texts whose vector an encoder computed.",
    "texts_seconds": "Seconds that encoders computed.",
}


@dataclass
class MetricsPage:
    """Renders the page; keeps the last known verdicts for times without a database."""

    worker: Worker
    catalogue: Catalogue
    _verdicts: dict[tuple[str, str], float] = field(default_factory=dict)
    _read_s: float = -VERDICTS_S
    _reader: threading.Thread | None = None

    def render(self, call: Call) -> Reply:
        """Return the page in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(_Page(list(self._families(call.snapshot))))
        return Reply(generate_latest(registry), media_type=CONTENT_TYPE)

    def _families(self, snapshot: Snapshot) -> Iterator[Metric]:
        worker = self.worker
        found = merged(worker.settings.run, worker.counters)
        yield from _counts(found["series"])
        yield _latencies(found["series"])
        yield _over_target(found["series"])
        yield from _totals(found["totals"])
        yield from _route_families(snapshot)
        yield self._verdict_family(snapshot)
        standing = standings(worker)
        yield from _log_families(standing)
        yield from _process_families(standing)

    def _read(self, snapshot: Snapshot) -> None:
        try:
            self._verdicts = _verdicts(self.catalogue, snapshot)
        except Exception as error:  # the page must come without a database too
            _LOG.warning("verdicts could not be read: %s", error)

    def _verdict_family(self, snapshot: Snapshot) -> Metric:
        now = self.worker.clock.monotonic()
        if now - self._read_s >= VERDICTS_S and (
            self._reader is None or not self._reader.is_alive()
        ):
            self._read_s = now
            self._reader = threading.Thread(target=self._read, args=(snapshot,), daemon=True)
            self._reader.start()
            self._reader.join(_PATIENCE_S)
        family = GaugeMetricFamily(
            "promise_verdict",
            "Newest verdict on the live version: 1 kept, 0 unknown, -1 broken.",
            labels=("model", "promise"),
        )
        for labels, value in self._verdicts.items():
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True, eq=False)  # registries hash what they collect from
class _Page:
    """Families that were made already, as prometheus-client collects them."""

    families: list[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self.families


def _verdicts(catalogue: Catalogue, snapshot: Snapshot) -> dict[tuple[str, str], float]:
    found = {}
    for name, endpoint in snapshot.endpoints.items():
        for promise, judged in catalogue.promises(name, endpoint.route.live).pairs:
            status = "UNKNOWN" if judged is None else judged.verdict.status
            found[name, promise.key] = _STATUS[status]
    return found


def _counts(series: list[Series]) -> Iterator[Metric]:
    for name, text in _PLAIN_COUNTS.items():
        family = CounterMetricFamily(f"promise_{name}", text, labels=_LABELS)
        for one in series:
            family.add_metric(_of(one), getattr(one, name))
        yield family


def _latencies(series: list[Series]) -> Metric:
    family = HistogramMetricFamily(
        "promise_request_seconds", "Seconds from a request's body to its answer.", labels=_LABELS
    )
    edges = [*(f"{edge / 1000:g}" for edge in LATENCY_EDGES_MS), "+Inf"]
    for one in series:
        total, buckets = 0, []
        for edge, count in zip(edges, one.latency, strict=True):
            total += count
            buckets.append((edge, total))
        family.add_metric(_of(one), buckets, one.seconds)
    return family


def _over_target(series: list[Series]) -> Metric:
    family = CounterMetricFamily(
        "promise_over_target",
        "Requests that took longer than a latency promise allows.",
        labels=(*_LABELS, "target_ms"),
    )
    for one in series:
        for target, count in one.over.items():
            family.add_metric((*_of(one), f"{target:g}"), count)
    return family


def _totals(totals: dict[tuple[str, str], int]) -> Iterator[Metric]:
    names = [*_TOTALS, *sorted({name for name, _ in totals} - _TOTALS.keys() - {"unfit"})]
    for name in names:
        text = _TOTALS.get(name, f"Events that the server counted as {name}.")
        plain = re.sub(r"[^a-z0-9_]", "_", name.lower())
        found = {model: count for (total, model), count in totals.items() if total == name}
        if name in OF_NO_MODEL:
            yield CounterMetricFamily(f"promise_{plain}", text, value=sum(found.values()))
            continue
        family = CounterMetricFamily(f"promise_{plain}", text, labels=("model",))
        for model, count in found.items():
            family.add_metric((model,), count)
        yield family
    yield _unfit(totals)


def _unfit(totals: dict[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(
        "promise_unfit",
        "Requests that lack what a version reads, so that another one answered them.",
        labels=("model", "version"),
    )
    for (total, version), count in totals.items():
        if total == "unfit":
            family.add_metric(version.rsplit("@", 1), count)
    return family


def _log_families(standing: list[Standing]) -> Iterator[Metric]:
    counters = {
        "written": "Lines of the prediction log in files.",
        "dropped": "Lines lost because the log's buffer was full.",
    }
    for name, text in counters.items():
        family = CounterMetricFamily(f"promise_log_{name}", text, labels=("slot",))
        for one in standing:
            family.add_metric((str(one.slot),), getattr(one, f"log_{name}"))
        yield family
    yield from _gauges(_LOG_GAUGES, standing)


def _route_families(snapshot: Snapshot) -> Iterator[Metric]:
    stage = GaugeMetricFamily(
        "promise_stage", "1 for the stage that a model is in.", labels=("model", "stage")
    )
    live = GaugeMetricFamily("promise_live_version", "The live version.", labels=("model",))
    failed = GaugeMetricFamily(
        "promise_failed_versions", "Versions that could not be loaded.", labels=("model",)
    )
    for name, endpoint in snapshot.endpoints.items():
        for known in get_args(Stage):
            stage.add_metric((name, known), float(endpoint.route.stage == known))
        live.add_metric((name,), endpoint.route.live or 0)
        failed.add_metric((name,), len(endpoint.failed or {}))
    yield from (stage, live, failed)


def _process_families(standing: list[Standing]) -> Iterator[Metric]:
    yield from _gauges(_PROCESS_GAUGES, standing)
    for part, text in _TEXT_COUNTS.items():
        family = CounterMetricFamily(f"promise_{part}", text, labels=("slot",))
        for one in standing:
            family.add_metric((str(one.slot),), getattr(one, part))
        yield family
    yield _gauge(
        "promise_texts_cache_bytes",
        "What the cache of texts holds.",
        {one.slot: one.texts_cache_mb * 2**20 for one in standing},
    )
    yield _gauge(
        "promise_worker_pss_bytes",
        "Memory of a worker, shared pages counted by their share.",
        {one.slot: pss_mb(one.pid) * 2**20 for one in standing},
    )


def _gauges(told: Mapping[str, tuple[str, str]], standing: list[Standing]) -> Iterator[Metric]:
    """Yield one gauge for each field of the standing, by worker."""
    for part, (name, text) in told.items():
        yield _gauge(name, text, {one.slot: float(getattr(one, part)) for one in standing})


def _gauge(name: str, text: str, by_slot: dict[int, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("slot",))
    for slot, value in by_slot.items():
        family.add_metric((str(slot),), value)
    return family


def _of(series: Series) -> tuple[str, str, str]:
    return series.model, str(series.version), series.arm
