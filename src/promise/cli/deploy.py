"""`promise deploy`, `rollback` and `status`: what is live, how it got there, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from promise.cli.show import Json, console, errors, number, print_json

Reference = Annotated[str, typer.Argument(metavar="NAME[@V]", help="NAME@3, or NAME: the newest.")]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the chain of transitions.")]


def deploy(
    reference: Reference,
    config: Annotated[
        Path | None, typer.Option("--config", help="A promise.toml: what the name is held to.")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Live at once, without shadow and canary; needs --reason.")
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Bring a version to users: gate, shadow, canary shares, bake, live.

    A name's first version is live once it passes the gate. The live version, given again with a
    promise.toml, declares its promises and sets its experiment; a held candidate goes on.
    """
    from promise.rollout.deploy import GateRefused
    from promise.rollout.deploy import deploy as run
    from promise.rollout.table import verdict_table

    def told(version: Any) -> None:
        errors.print(
            f"running the gate of {version}: holdout replay and load test", highlight=False
        )

    try:
        done = run(reference, config=config, now=now, reason=reason, on_gate=told)
    except GateRefused as refused:
        if as_json:
            print_json({"error": str(refused).partition("\n")[0], "gate": refused.gate.to_json()})
            raise typer.Exit(1) from None
        raise
    if as_json:
        gate = None if done.gate is None else done.gate.to_json()
        advice = [dict(vars(each)) for each in done.advice]
        print_json({"transition": done.transition.to_json(), "gate": gate, "advice": advice})
        return
    if done.gate is not None:
        table = verdict_table(done.declared, done.gate.verdicts, done.gate.blocking)
        console().print(table)
    console().print(done.transition.reason, markup=False)
    if done.declared.experiment and done.transition.route.candidate is not None:
        console().print(
            "the [experiment] waits for the end of the rollout: deploy the version that is live "
            "then, with the same --config",
            markup=False,
        )
    for each in done.advice:
        console().print(f"advice: {each.text}", markup=False, highlight=False)


def rollback(name: Name, reason: Reason = "", as_json: Json = False) -> None:
    """Go back to the version before, at once: drop the candidate, or make the standby live."""
    from promise.rollout.deploy import rollback as run

    made = run(name, reason=reason)
    if as_json:
        print_json({"transition": made.to_json()})
        return
    console().print(made.reason, markup=False)


def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="'2026-11-21 10:00' (UTC), '13:40', 'yesterday' or '2h ago'."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is live and why, now or at a moment before, and whether promises are kept."""
    from promise.errors import ConfigError
    from promise.monitoring.usage import usage
    from promise.retraining.standing import standing
    from promise.rollout.status import status as of_one
    from promise.rollout.status import statuses

    if name is None:
        if at is not None:
            raise ConfigError("--at asks about one name: promise status NAME --at TIME.")
        listed = statuses()
        if as_json:
            print_json({"models": [each.to_json() for each in listed]})
        else:
            _show_all(listed)
        return
    found = of_one(name, at)
    retraining = standing(name) if at is None else None
    if as_json:
        told: dict[str, Any] = {}
        if retraining is not None:
            used = usage(name, found.route.live).to_json()
            told = {"usage": used, "retraining": retraining.to_json()}
        print_json(found.to_json() | told)
        return
    _show(found, past=at is not None)
    if retraining is not None:
        if used_here := usage(name, found.route.live).sentence():
            console().print(f"  {used_here}", markup=False)
        console().print(f"  {retraining.sentence()}", markup=False)
        if retraining.next_rung:
            console().print(f"  {retraining.next_rung}", markup=False)


def _show_all(listed: list[Any]) -> None:
    if not listed:
        console().print("nothing is deployed yet: run `promise deploy NAME@V`")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("name", "live", "since", "stage", "candidate", "promises", "owed", "chain"):
        table.add_column(heading)
    for each in listed:
        route = each.route
        made = each.made_live
        stage = f"{route.stage} {route.share / 100:g} %" if route.share else route.stage
        table.add_row(
            each.name,
            str(route.live),
            f"{made.at:%Y-%m-%d %H:%M}" if made else "",
            f"{stage} (held)" if route.held else stage,
            "" if route.candidate is None else str(route.candidate),
            _counted(each.verdicts.get(route.live, ())),
            ", ".join(route.owed),
            "intact" if each.verified else "[red]BROKEN[/]",
        )
    console().print(table)


def _counted(verdicts: tuple[Any, ...]) -> str:
    """Return how many promises are kept, broken and unknown.

    Examples
    --------
    >>> from promise.promises.verdict import Verdict
    >>> _counted((Verdict("a", "mae", "KEPT", 1.0), Verdict("b", "mae", "UNKNOWN", 1.0)))
    '1 kept, 1 unknown'
    """
    words = {"KEPT": "kept", "BROKEN": "broken", "UNKNOWN": "unknown"}
    counts = {word: sum(v.status == key for v in verdicts) for key, word in words.items()}
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "not judged yet"


def _show(found: Any, *, past: bool) -> None:
    from promise.rollout.table import verdict_table

    out, route, made = console(), found.route, found.made_live
    when = f"at {found.at:%Y-%m-%d %H:%M:%S} UTC" if past else "now"
    out.print(f"[bold]{found.name}@{route.live}[/] {'was' if past else 'is'} live {when}")
    if made is not None:
        out.print(f"  since {made.at:%Y-%m-%d %H:%M:%S} UTC: {made.reason}", markup=False)
    if route.candidate is not None:
        share = f", {route.share / 100:g} % of the traffic" if route.share else ""
        out.print(f"  {found.name}@{route.candidate}: {route.stage}{share}", markup=False)
    for label, value in (
        ("evidence", "" if past else _evidence(found)),
        ("waits for", found.waits_for),
        ("held", route.held),
        ("standby", route.standby),
        ("owed", ", ".join(f"{k} until {t:%Y-%m-%d %H:%M}" for k, t in route.owed.items())),
    ):
        if value:
            out.print(f"  {label}: {value}", markup=False)
    for line in () if found.decided is None else found.decided.sentences():
        out.print(f"  {line}", markup=False, highlight=False)
    if found.gate is not None:
        out.print(f"  last gate of {found.gate}", markup=False)
    link = found.transition
    out.print(f"  last change: {link.kind} by {link.actor}: {link.reason}", markup=False)
    out.print(f"  chain: {'intact' if found.verified else 'BROKEN'}, {link.seq} transitions")
    for version, verdicts in found.verdicts.items():
        if verdicts:
            out.print(f"\n{found.name}@{version}", markup=False)
            out.print(verdict_table(found.declared, verdicts))
    if found.experiment:
        _show_experiment(found)


def _evidence(found: Any) -> str:
    """Say up to when requests are counted, and whether that reaches into this stage."""
    until, since = found.evidence_until, found.route.since
    if until is None:
        return "no requests were counted yet"
    told = f"requests counted up to {until:%Y-%m-%d %H:%M:%S} UTC"
    if since is not None and until <= since:
        return f"{told}, before this stage began at {since:%H:%M:%S}; newer ones are on their way"
    return told


def _show_experiment(found: Any) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("metric", "version", "value", "live", "difference", "interval", "n", ""):
        table.add_column(heading)
    for each in found.experiment:
        verdict = {True: "better", False: "worse", None: "tie so far"}[each.better]
        low, high = number(each.low), number(each.high)
        table.add_row(
            each.metric, str(each.version), number(each.value), number(each.baseline),
            number(each.difference), f"{low} … {high}", f"{each.n:,} / {each.n_baseline:,}",
            verdict,
        )  # fmt: skip
    console().print(f"\nexperiment, beside {found.name}@{found.route.live}", markup=False)
    console().print(table)
