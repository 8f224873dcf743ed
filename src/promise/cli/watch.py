"""`promise watch`: collects evidence and moves rollouts, alone or beside `promise serve`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from promise.cli.following import follow
from promise.cli.show import Json, errors, print_json

_RETRAIN = (sys.executable, "-m", "promise.cli.main", "retrain", "--parent")


def watch(
    every: Annotated[str, typer.Option("--every", help="Pause between looks, e.g. 1s.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    parent: Annotated[
        int, typer.Option("--parent", hidden=True, help="End when this process does.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Judge every name again and again, and move what follows; several may run, one is active.

    Evidence of this machine is collected in any case. What is due for a retraining is trained
    again in a process of its own.
    """
    import sqlalchemy as sa

    from promise.cli.config import seconds
    from promise.clock import SteadyClock
    from promise.errors import PromiseError
    from promise.monitoring.collect import Collector
    from promise.registry.lifecycle import Transition
    from promise.retraining.retrainer import Retrainer
    from promise.rollout.reconciler import Reconciler
    from promise.settings import Settings

    pause_s = seconds(every)
    settings, clock = Settings.load(), SteadyClock()
    collector, reconciler = Collector(settings, clock), Reconciler(settings, clock)
    retrainer = Retrainer(settings, (*_RETRAIN, str(os.getpid())), clock)
    stopping = _until_told()
    if parent:
        follow(parent, stopping)
    moved: list[Transition] = []

    def move() -> None:
        moved[:] = reconciler.tick()
        for made in moved:
            errors.print(f"{made.name}: {made.kind}: {made.reason}", markup=False, highlight=False)

    def train() -> None:
        name = None if once else retrainer.look()  # a single look leaves no process behind
        if name is not None:
            errors.print(f"{name}: is trained again", markup=False, highlight=False)

    def look() -> None:
        # Rollouts are judged even where evidence cannot be collected, and all go on once the
        # database is back: servers keep their last routes meanwhile.
        for work in (collector.collect, move, train):
            try:
                work()
            except (PromiseError, sa.exc.SQLAlchemyError) as error:
                if once:
                    raise
                errors.print(f"warning: {error}", markup=False, highlight=False)
            except Exception:  # what one of them stumbles over must not end the others
                if once:
                    raise
                logging.getLogger(__name__).exception("the watch stumbled")

    try:
        look()
        while not once and not stopping.wait(pause_s):
            look()
    finally:
        retrainer.close()
        reconciler.close()
        collector.close()
    if as_json:
        print_json({"transitions": [made.to_json() for made in moved]})


def _until_told() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set, so that a look ends whole."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
