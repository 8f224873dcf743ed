"""The way on: the race, the export, the commands to use next, and what repeats the run."""

from __future__ import annotations

import itertools
import shlex
from typing import Any

from promise.discovery.report.answer import metric_of, sentence_case
from promise.discovery.report.markup import (
    Html,
    Part,
    clip,
    code_block,
    details,
    element,
    join,
    prose,
    section,
)
from promise.discovery.report.plots import figure, race_plot
from promise.discovery.report.wording import (
    count,
    finite,
    items,
    megabytes,
    metric_title,
    part,
    score,
    span,
    tuples,
)

MAX_VERSIONS = 30
_STEPS_BACK = (
    "The line steps back where the leader was judged on more rows: its score is the mean over the "
    "folds done so far."
)


def race_section(story: dict[str, Any]) -> Html | None:
    """Return how the best score went over the time of the race."""
    race = part(story, "race")
    history = sorted(tuples(items(race, "history"), 2))
    if not history and race.get("trials") is None:
        return None
    words = f"{count(race.get('trials'))} configurations were tried"
    if finite(race.get("seconds")) is not None:
        words += f" in {span(race['seconds'])}"
    words += "."
    if len(history) < 2:
        return section("race", "The race", element("p", words))
    last, final = history[-1][0], history[-1][1]
    settled = next(when for when, value in history if value == final)
    said = element("p", words, class_="lead")
    end = max(last, finite(race.get("seconds")) or 0.0)
    sign = -1.0 if part(story, "task").get("greater_is_better") is False else 1.0
    gains = [sign * (b[1] - a[1]) for a, b in itertools.pairwise(history)]
    verdict = "."
    if settled > 0.9 * end and gains[-1] > 0:
        verdict = ": the race was still finding better models when it ended."
    late = element("p", f"The best score stood at {score(final)} after {span(settled)}{verdict}")
    if min(gains) < 0:
        late = element("div", late, element("p", _STEPS_BACK, class_="caption"))
    metric = metric_title(metric_of(story))
    drawing = race_plot(history, metric)
    shown = figure("Best validation score so far", drawing)
    return section(
        "race", "The race", element("div", element("div", said, late), shown, class_="two")
    )


def next_section(story: dict[str, Any]) -> Html | None:
    """Return the commands that use what the run leaves."""
    export, version = part(story, "export"), story.get("version")
    parts: list[Part] = []
    if export.get("parity"):
        parts.append(element("p", prose(sentence_case(export["parity"])), class_="lead"))
    if version:
        parts += with_promise(story, str(version))
    if export.get("folder"):
        parts += without_promise(str(export["folder"]))
    if not parts:
        return None
    return section("next", "Use it", *parts)


def with_promise(story: dict[str, Any], version: str) -> list[Part]:
    """Return what to do with the registered version."""
    source = shell(part(story, "source").get("name") or "DATA")
    name = shell(version.split("@", maxsplit=1)[0])
    commands = (
        f"promise predict {shell(version)} new_rows.csv --out predictions.csv\n"
        f"promise evaluate {shell(version)} labelled_rows.csv\n"
        f"promise train tabular {source} --name {name} --from {shell(version)} --full"
    )
    python = f"import promise\n\nmodel = promise.load({version!r})\nmodel.predict(row)  # a dict"
    head = element("h3", "With Promise: ", element("code", clip(version, 80)))
    note = (
        "Answer new rows, judge the version on rows whose answers have since become known, or "
        "train it on every row of the source."
    )
    return [head, element("p", note), code_block(commands), code_block(python)]


def without_promise(folder: str) -> list[Part]:
    """Return what to do with the exported code."""
    commands = (
        f"cd {shell(folder)}\n"
        "python -m venv .venv && .venv/bin/pip install -r requirements.lock\n"
        ".venv/bin/python predict.py --data new_rows.csv --out predictions.csv"
    )
    note = join(
        [
            "The export is plain Python for this table and this model. Its ",
            element("code", "README.md"),
            " tells how to run it in a container and on the large clouds, its ",
            element("code", "MODEL_CARD.md"),
            " how far to trust it.",
        ]
    )
    return [element("h3", "Without Promise"), element("p", note), code_block(commands)]


def shell(text: object) -> str:
    """Return a word as a shell reads it, cut where it is very long."""
    return shlex.quote(clip(text, 200))


def footer(story: dict[str, Any]) -> Html:
    """Return what repeats the run."""
    source = part(story, "source")
    pairs: list[tuple[str, Part]] = []
    if story.get("version"):
        pairs.append(("version", clip(story["version"], 80)))
    if story.get("created"):
        pairs.append(("created", clip(story["created"], 40)))
    if story.get("seed") is not None:
        pairs.append(("seed", str(story["seed"])))
    if source.get("name"):
        pairs.append(("data", clip(source["name"], 300)))
    if source.get("fingerprint"):
        pairs.append(("fingerprint", element("code", clip(source["fingerprint"], 80))))
    if finite(story.get("seconds")) is not None:
        pairs.append(("time", span(story["seconds"])))
    if finite(story.get("peak_memory_mb")):
        pairs.append(("peak memory", megabytes(story["peak_memory_mb"])))
    versions = list(part(story, "versions").items())[:MAX_VERSIONS]
    if versions:
        pairs.append(("built with", ", ".join(f"{clip(k, 30)} {clip(v, 30)}" for k, v in versions)))
    lines = [element("div", element("dt", k), element("dd", v)) for k, v in pairs]
    return element(
        "footer",
        element("h2", "To repeat this"),
        element("dl", *lines, class_="pairs") if lines else None,
        repeat(story),
        element(
            "p", "Made by Promise. This page loads nothing from anywhere.", class_="muted small"
        ),
    )


def repeat(story: dict[str, Any]) -> Html | None:
    """Return the command of the run, folded away."""
    options, source = part(story, "options"), part(story, "source").get("name")
    target = options.get("target")
    if not source or target is None:
        return None
    words = ["promise discover", shell(source), "--target", shell(target)]
    if options.get("trials") is not None:
        words += ["--trials", str(options["trials"])]
    elif finite(options.get("budget_s")) is not None:
        words += ["--budget", f"{options['budget_s']:g}s"]
    standard: dict[str, Any] = {
        "preset": "default", "sample": "auto", "strategy": "random", "time": None, "group": None,
        "metric": None, "threads": 2, "seed": 7, "on_bad_rows": "fail",
    }  # fmt: skip
    for key, usual in standard.items():
        if options.get(key, usual) != usual:
            words += ["--" + key.replace("_", "-"), shell(options[key])]
    if items(options, "families"):
        words += ["--families", shell(",".join(map(str, options["families"])))]
    if finite(options.get("memory_mb")) is not None:
        words += ["--memory", f"{options['memory_mb']:g}MB"]
    return details("the command of this run", code_block(" ".join(words)))
