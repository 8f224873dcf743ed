"""`promise`: the command line, one file for each command group."""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

import typer

from promise.cli import mlflow, operations
from promise.cli.backup import backup, restore
from promise.cli.deploy import deploy, rollback, status
from promise.cli.discover import demo, discover, export
from promise.cli.doctor import doctor
from promise.cli.events import events
from promise.cli.features import features
from promise.cli.keys import keys
from promise.cli.label import label
from promise.cli.models import compare, models
from promise.cli.profile import profile
from promise.cli.retrain import retrain
from promise.cli.serve import serve
from promise.cli.train import evaluate, predict, train
from promise.cli.watch import watch
from promise.errors import PromiseError

app = typer.Typer(
    name="promise",
    help="From raw data to a model in production, kept to what was promised of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo, discover, profile, export, train, evaluate, predict, compare, deploy, rollback, status,
    serve, watch, retrain, label, events, backup, restore, doctor,
):  # fmt: skip
    app.command()(command)
mlflow.attach(models)
operations.attach(models)
app.add_typer(models, name="models")
app.add_typer(keys, name="keys")
app.add_typer(features, name="features")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's error is one line on standard error and exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code: Any = app(args=arguments, prog_name="promise", standalone_mode=False)
    except PromiseError as error:
        _tell(str(error), arguments)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        _tell(_about_files(error), arguments)
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = _about_usage(error)
        if message is None:
            raise
        _tell(message, arguments)
    sys.exit(code if isinstance(code, int) else 0)


def _about_usage(error: Exception) -> str | None:
    """Return what was wrong in the command as it was typed; None for any other error."""
    if type(error).__module__.split(".")[0] not in ("click", "typer"):
        return None
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # `promise keys` alone has shown its help
        sys.exit(0)
    message = str(error.format_message()).strip().rstrip(".")
    where = "promise" if context is None else context.command_path
    return f"{message}; see `{where} --help`."


def _about_files(error: OSError) -> str:
    what = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}the disk is full; free some space and run the command again."
    return f"{what}{error.strerror or error}."


def _tell(message: str, arguments: list[str]) -> None:
    print(f"error: {message}", file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": message}, ensure_ascii=False))
    sys.exit(1)


if __name__ == "__main__":
    main()
