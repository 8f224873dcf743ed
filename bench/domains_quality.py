"""Right answers on the three splits, coverage, and names that belong to no class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from bench.domains_data import Labelled, popular
from bench.domains_systems import (
    Answered,
    Trained,
    TrainingFailed,
    answers,
    outputs,
    train,
)
from promise.features.names import normalise_many, pinned_suffixes
from promise.kernels.rows import mix
from promise.workloads.domains.split import RULES

Record = dict[str, Any]
REJECTED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Shares of unknown names rejected at which the frontier is printed."""


def splits(what: str, data: Labelled, systems: tuple[str, ...], folder: Path) -> list[Record]:
    """Train each system once and judge it on the three sealed parts."""
    asked = np.concatenate([data.sealed(rule) for rule in RULES])
    records = [baselines(what, data)]
    for system in systems:
        try:
            found = answers(system, data, asked, folder)
        except TrainingFailed as error:
            print(f"left out: {error}", flush=True)
            continue
        records.append({**judged(found, data, asked), "what": what})
        print(row_of(records[-1]), flush=True)
        for label, scores in found.beside.items():
            own = found.system
            print(
                f"| {own}, {label} | | {scores['accuracy']:.3f}, {scores['f1_macro']:.3f} | | | |"
            )
            records[-1].setdefault("beside", {})[label] = scores
    return records


def judged(found: Answered, data: Labelled, asked: np.ndarray) -> Record:
    """Return accuracy, macro-F1 and precision at half coverage of each split."""
    told: Record = {
        "system": found.system,
        "seconds": round(found.seconds, 1),
        "peak_mb": round(found.peak_mb),
    }
    for rule in RULES:
        here = data.sides[asked] == data.sides[data.sealed(rule)[0]]
        truth, best, sure = data.codes[asked][here], found.best[here], found.sure[here]
        right = best == truth
        half = np.argsort(-sure, kind="stable")[: len(sure) // 2]
        told[rule] = {
            "rows": len(truth),
            "accuracy": float(right.mean()),
            "ci": 1.96 * float(np.sqrt(right.mean() * (1 - right.mean()) / len(right))),
            "f1_macro": float(f1_score(truth, best, average="macro")),
            "precision_at_half": float(right[half].mean()),
        }
    return told


def baselines(what: str, data: Labelled) -> Record:
    """Return what the most frequent class and the most frequent class of each suffix reach."""
    told: Record = {"system": "baselines", "what": what}
    codes, opened = data.codes, data.open
    names = normalise_many(data.names, pinned_suffixes())
    suffixes = np.array(
        [text[cut:] for text, cut in zip(names.texts(), names.cuts[:, 1].tolist(), strict=True)],
        dtype=object,
    )
    known, group = np.unique(suffixes[opened].astype(str), return_inverse=True)
    table = np.zeros((len(known), len(data.classes)), np.int64)
    np.add.at(table, (group, codes[opened]), 1)
    majority = int(table.sum(axis=0).argmax())
    best = dict(zip(known.tolist(), table.argmax(axis=1).tolist(), strict=True))
    for rule in RULES:
        rows = data.sealed(rule)
        told[rule] = {
            "majority": float((codes[rows] == majority).mean()),
            "suffix": float(
                np.mean([best.get(suffixes[row], majority) == codes[row] for row in rows])
            ),
        }
    return told


HEADER = (
    "| system | " + " | ".join(f"{rule}: accuracy, F1, precision at half" for rule in RULES)
    + " | seconds | peak MB |\n|---|" + "---|" * len(RULES) + "---:|---:|"
)  # fmt: skip


def row_of(record: Record) -> str:
    """Return one row of the table."""
    if record["system"] == "baselines":
        cells = [f"majority {r['majority']:.3f}, suffix {r['suffix']:.3f}" for r in _each(record)]
        return "| baselines | " + " | ".join(cells) + " | | |"
    cells = [
        f"{r['accuracy']:.3f} ± {r['ci']:.3f}, {r['f1_macro']:.3f}, {r['precision_at_half']:.3f}"
        for r in _each(record)
    ]
    ends = f"{record['seconds']:.0f} | {record['peak_mb']:,}"
    return f"| {record['system']} | " + " | ".join(cells) + f" | {ends} |"


def _each(record: Record) -> list[Record]:
    return [record[rule] for rule in RULES]


def against_best(records: list[Record], own: str = "promise") -> list[str]:
    """Say how far a system is above the best of all others, split by split."""
    mine = next((r for r in records if r["system"] == own), None)
    others = [r for r in records if r["system"] not in (own, "baselines")]
    if mine is None or not others:
        return []
    lines = []
    for rule in RULES:
        for metric in ("accuracy", "f1_macro"):
            best = max(others, key=lambda r, m=metric, s=rule: r[s][m])  # type: ignore[misc]
            gap = 100 * (mine[rule][metric] - best[rule][metric])
            lines.append(f"{rule} {metric}: {gap:+.1f} points against {best['system']}")
    return lines


def unknown(data: Labelled, folder: Path) -> list[Record]:
    """Reject popular names that no app has, once fitted against half of such names, once not.

    Half of the popular names by the hash of their registrable domain is given as background; all
    are judged on the other half. Names whose brand is one of the apps' are left out.
    """
    names = normalise_many(popular(), pinned_suffixes())
    apps = normalise_many(data.names, pinned_suffixes())
    strange = ~np.isin(names.brand_hashes, apps.brand_hashes) & names.known
    given = (mix(names.registrable_hashes) & np.uint64(1)).astype(bool)
    texts = np.array(names.texts(), dtype=object)
    background = folder / "background.txt"
    background.write_text("\n".join(texts[strange & given]), encoding="utf-8")
    records = []
    for label, more in (
        ("no background given", ()),
        ("background given", ("--set", f"background={background}")),
    ):
        trained = train(folder, data, "apps", *more)
        for rule in RULES:
            told = frontier(trained, data.names[data.sealed(rule)], texts[strange & ~given])
            records.append({"what": f"{label}, {rule}", **told})
            print(frontier_row(records[-1]), flush=True)
    return records


def frontier(trained: Trained, sealed: np.ndarray, strange: np.ndarray) -> Record:
    """Return false rejections of sealed names at each share of strange names rejected."""
    pipeline = trained.pipeline
    known, other = outputs(pipeline, sealed).max(axis=1), outputs(pipeline, strange).max(axis=1)
    threshold = float(getattr(pipeline.decide, "threshold", 0.0))
    told = {}
    for share in REJECTED:
        cut = float(np.quantile(other, share))
        told[f"{share:g}"] = float((known < cut).mean())
    return {
        "strange": len(other),
        "known": len(known),
        "rejected": float((other < threshold).mean()),
        "false_rejections": float((known < threshold).mean()),
        "frontier": told,
    }


FRONTIER_HEADER = (
    "| | as fitted: rejected, falsely | "
    + " | ".join(f"falsely at {share:.0%}" for share in REJECTED)
    + " |\n|---|---|" + "---:|" * len(REJECTED)
)  # fmt: skip


def frontier_row(record: Record) -> str:
    """Return one row of the table."""
    cells = [f"{record['frontier'][f'{share:g}']:.1%}" for share in REJECTED]
    own = f"{record['rejected']:.1%}, {record['false_rejections']:.1%}"
    return f"| {record['what']} | {own} | " + " | ".join(cells) + " |"


def update(data: Labelled, folder: Path) -> list[Record]:
    """Train on nine tenths, update by the last tenth in two orders, and compare with a refit.

    The new rows have the names of one class that the nine tenths lack.
    """
    rng = np.random.default_rng(7)
    rows = rng.permutation(len(data.names))
    counts = np.bincount(data.codes)
    added = int(np.argsort(-counts, kind="stable")[len(counts) // 2])
    late = rows[: len(rows) // 10]
    early = np.setdiff1d(rows, late)
    moved = early[data.codes[early] == added]
    early, late = np.setdiff1d(early, moved), np.concatenate([late, moved])
    ordered = late[np.argsort(data.codes[late], kind="stable")]
    refit = train(folder, data, "refit")
    train(folder, data.take(early), "grown")
    records = [{"what": "full refit", **_all(refit, data)}]
    print(update_row(records[-1]), flush=True)
    for label, order in (("random order", rng.permutation(late)), ("ordered by label", ordered)):
        grown = train(folder, data.take(order).table(), "grown", "--from", "grown@1")
        records.append({"what": f"update, {label}", **_all(grown, data)})
        records[-1]["noticed"] = grown.told.get("ordered_by_label")
        records[-1]["time_share"] = grown.told["seconds"] / refit.told["seconds"]
        print(update_row(records[-1]), flush=True)
    return records


def _all(trained: Trained, data: Labelled) -> Record:
    asked = np.concatenate([data.sealed(rule) for rule in RULES])
    output = outputs(trained.pipeline, data.names[asked])
    classes = np.array(trained.pipeline.task.answer.classes)  # type: ignore[union-attr]
    best = np.searchsorted(data.classes, classes)[output.argmax(axis=1)]
    found = Answered("promise", best, output.max(axis=1), trained.seconds, trained.peak_mb)
    return {**judged(found, data, asked), "own_seconds": trained.told["seconds"]}


def update_row(record: Record) -> str:
    """Return one row of the table."""
    cells = [f"{r['accuracy']:.3f}, {r['f1_macro']:.3f}" for r in _each(record)]
    share = record.get("time_share")
    ends = [
        f"{record['own_seconds']:.1f}",
        "" if share is None else f"{share:.0%}",
        str(record.get("noticed", "")),
    ]
    return f"| {record['what']} | " + " | ".join([*cells, *ends]) + " |"


UPDATE_HEADER = (
    "| | " + " | ".join(f"{rule}: accuracy, F1" for rule in RULES)
    + " | seconds | of the refit's | order noticed |\n|---|" + "---|" * len(RULES)
    + "---:|---:|---|"
)  # fmt: skip
