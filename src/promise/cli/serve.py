"""`promise serve`: every live model over HTTP, with the watch that moves rollouts beside it."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from promise.cli.show import Json, errors
from promise.errors import ConfigError
from promise.settings import Settings

_WATCH = (sys.executable, "-m", "promise.cli.main", "watch")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1, max=256)] = 1,
    open_access: Annotated[
        bool,
        typer.Option("--open", help="Answer without API keys outside this machine, too."),
    ] = False,
    watch: Annotated[
        bool, typer.Option(help="Run the watch that judges promises and moves rollouts.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Serve every live model until Ctrl-C or SIGTERM.

    On this machine alone (127.0.0.1) no key is asked for; on any other address requests need an
    API key of `promise keys create`, unless `--open` is given.
    """
    from promise.serving.supervisor import Supervisor, is_loopback

    if not 0 <= port <= 65535:
        raise ConfigError(f"--port is {port}; ports go from 0 to 65535.")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    supervisor = Supervisor(
        Settings.load(),
        host=host,
        port=port,
        workers=workers,
        open_access=True if open_access else None,
        watch=(*_WATCH, "--parent", str(os.getpid())) if watch else (),
    )
    url = supervisor.bind()

    def tell(models: dict[str, int | None]) -> None:
        needs_key = not (open_access or is_loopback(host))
        sys.stdout.write(f"{_line(url, models, workers, needs_key, as_json)}\n")
        sys.stdout.flush()

    supervisor.on_ready = tell
    errors.print(f"starting {workers} worker{'s' if workers > 1 else ''} on {url}", highlight=False)
    supervisor.run()


def _line(
    url: str, models: dict[str, int | None], workers: int, needs_key: bool, as_json: bool
) -> str:
    """Return the one line that says where, and what is served.

    Examples
    --------
    >>> _line("http://127.0.0.1:8000", {"churn": 3}, 2, False, False)
    'serving churn@3 at http://127.0.0.1:8000 (2 workers, no key needed, docs at /docs)'
    """
    if as_json:
        import msgspec

        said = {"url": url, "workers": workers, "needs_key": needs_key, "models": models}
        return msgspec.json.encode(said).decode()
    live = [f"{name}@{number}" for name, number in models.items() if number is not None]
    what = ", ".join(live) if live else "nothing yet (run `promise deploy NAME`)"
    crew = f"{workers} workers" if workers > 1 else "1 worker"
    access = "with API keys" if needs_key else "no key needed"
    return f"serving {what} at {url} ({crew}, {access}, docs at /docs)"
