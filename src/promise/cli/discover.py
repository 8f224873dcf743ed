"""`promise discover`, `export` and `demo`: the main job, shown as it runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from promise.cli.config import READING, column_roles, read_config, seconds, set_values
from promise.cli.live import Live
from promise.cli.show import Json, console, number, print_json
from promise.data.rows import OnBadRows
from promise.data.sample import Strategy
from promise.errors import ArtifactError, ConfigError, near

_DEMOS = ("tabular", "matching")
_INTERRUPTED = 130
"""The exit code of a run that Ctrl-C ended."""

_SETTINGS: dict[str, Callable[[str], tuple[str, Any]]] = {
    **READING,
    "gap": lambda text: ("gap_s", seconds(text)),
    "latency": lambda text: ("latency_ms", 1000 * seconds(text)),
    "replay": lambda text: ("replay", Path(text)),
}
"""What `--set` knows: key to the field of `Options` and how its text is read."""


def discover(
    data: Annotated[str, typer.Argument(help="File, folder, glob, SQL URL::table or s3:// path.")],
    target: Annotated[str, typer.Option("--target", help="The column to predict.")],
    preset: Annotated[str, typer.Option("--preset", help="default or reference.")] = "default",
    budget: Annotated[
        str, typer.Option("--budget", help="Time for everything: 60s, 10m, 1h.")
    ] = "10m",
    trials: Annotated[
        int | None, typer.Option("--trials", help="Candidates instead of a clock.")
    ] = None,
    sample: Annotated[
        str, typer.Option("--sample", help="auto, full or a number of rows.")
    ] = "auto",
    strategy: Annotated[
        Strategy, typer.Option("--strategy", help="random, stratified or time.")
    ] = "random",
    time_column: Annotated[
        str | None, typer.Option("--time", help="Column that orders rows.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Column whose rows stay together.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="What models are ranked by.")
    ] = None,
    families: Annotated[
        str | None, typer.Option("--families", help="Only these, by comma.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Bound on all processes' PSS.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", help="Fits at once.")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Source of all chance.")] = 7,
    name: Annotated[str | None, typer.Option("--name", help="The model's name.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("promise-out"),
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="ROLE=NAME, e.g. ignore=duration; repeatable."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE: encoding, delimiter, decimal, gap, …; repeatable."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="A promise.toml.")] = None,
    on_bad_rows: Annotated[OnBadRows, typer.Option("--on-bad-rows", help="fail or skip.")] = "fail",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Find the best model for a table, and leave with a report, a version and code."""
    from promise.discovery.discover import run
    from promise.discovery.options import Options, family_names, megabytes, sample_option

    options = Options(
        target=target,
        preset=preset,
        budget_s=seconds(budget),
        trials=trials,
        sample=sample_option(sample),
        strategy=strategy,
        time=time_column,
        group=group,
        metric=metric,
        families=family_names(families),
        memory_mb=None if memory is None else megabytes(memory),
        threads=threads,
        seed=seed,
        name=name or (None if config is None else read_config(config).get("name")),
        out=out,
        on_bad_rows=on_bad_rows,
        resume=resume,
        columns=column_roles(column or []),
        **set_values(settings or [], _SETTINGS),
    )
    with Live() as live:
        found = run(data, options, live, began=_process_start())
    if as_json:
        print_json({**found.story, "out": str(found.out)})
    else:
        show(found)
    if found.version is None:
        raise typer.Exit(_INTERRUPTED)


def export(
    reference: Annotated[str, typer.Argument(metavar="NAME[@V]")],
    to: Annotated[Path, typer.Option("--to", help="A new folder.")],
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="Only the artifacts.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a version's code and weights, which run without Promise, to a folder."""
    from promise.discovery.export import verify
    from promise.discovery.handoff import export_version
    from promise.registry.registry import Registry
    from promise.state.files import whole_folder

    version = Registry.open().find(reference)
    with whole_folder(to) as draft:
        made = export_version(version, draft / "export")
        proof = verify(made, expected_score=version.metrics["score"])
        if not proof.ok:
            raise ArtifactError(f"{version} is not exported: {proof.sentence}")
        kept = made / "artifacts" if weights_only else made
        for entry in sorted(kept.iterdir()):
            entry.rename(draft / entry.name)
        shutil.rmtree(made)
    if as_json:
        print_json({"version": str(version), "folder": str(to), "parity": proof.sentence})
    else:
        console().print(f"{version} exported to {to}: {proof.sentence}", markup=False)


def demo(
    workload: Annotated[str, typer.Argument(help="Which main job to show.")] = "tabular",
    out: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("demo"),
    as_json: Json = False,
) -> None:
    """Run the main job on real data that the installation brings, in under three minutes."""
    from promise.discovery.demo import run_demo

    if workload == "matching":
        _demo_matching(out, as_json)
        return
    if workload != "tabular":
        raise ConfigError(
            f"there is no demo of {workload!r} in this version; {near(workload, _DEMOS)}"
        )
    with Live() as live:
        shown = run_demo(out, live)
    if as_json:
        print_json(shown.to_json())
        return
    show(shown.found)
    for line in shown.lines:
        console().print(line, markup=False, soft_wrap=True)


def _demo_matching(out: Path, as_json: bool) -> None:
    """Generate people with known tastes, and show who is found for them."""
    from promise.discovery.demo_matching import run_matching

    with Live() as live:
        shown = run_matching(out, live.step)
    if as_json:
        print_json(shown.to_json())
        return
    for line in shown.lines:
        console().print(line, markup=False, soft_wrap=True)


def show(found: Any) -> None:
    """Print the recommendation, the leaderboard and where everything lies."""
    screen, board = console(), found.leaderboard
    for sentence in found.story["recommendation"]:
        screen.print(sentence, markup=False)
    screen.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("model", "validation", board["metric"], "95 % interval", ""):
        table.add_column(title, no_wrap=True)
    for title in ("fit s", "ms/row", "MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in board["models"]:
        if row["validation"] is not None:
            table.add_row(*_cells(row, board["best"]))
    screen.print(table)
    for row in board["models"]:
        if row["validation"] is None:
            screen.print(f"{row['family']}: {row['status']}", markup=False)
        elif row["note"]:
            screen.print(f"{row['name']}: {row['note']}", markup=False)
    screen.print()
    for finding in found.findings:
        if finding["severity"] != "note":
            screen.print(f"{finding['severity']}: {finding['evidence']}", markup=False)
    if found.version is not None:
        judged = f"judged on {board['split']}: {board['holdout_rows']:,} rows"
        screen.print(judged, markup=False)
    if found.story.get("export"):
        screen.print(f"export: {found.story['export']['parity']}", markup=False)
    screen.print(f"report: {found.out / 'report.html'}", markup=False)
    if found.version is not None:
        screen.print(f"registered: {found.version}", markup=False)


def _cells(row: dict[str, Any], best: str) -> list[str]:
    low, high = row["ci"] or (None, None)
    return [
        row["name"],
        number(row["validation"]),
        number(row["score"]),
        f"{number(low)} – {number(high)}",
        "best" if row["name"] == best else ("tie" if row["tie"] else ""),
        number(row["fit_seconds"], 1),
        number(row["predict_ms"], 3),
        number(row["size_mb"], 1),
    ]


def _process_start() -> float:
    """Return when this process was started, on the monotonic clock: imports count too."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        import os

        boot = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - max(0.0, boot)
    except (OSError, AttributeError, ValueError, IndexError):
        return time.monotonic()
