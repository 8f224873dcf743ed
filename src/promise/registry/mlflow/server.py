"""The way to an MLflow server: reached quickly or refused in words, and its models fetched."""

from __future__ import annotations

import contextlib
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promise.errors import ConfigError, DataError, MissingExtra, StateError

_REACH_S = 10.0


@dataclass(frozen=True)
class Mlflow:
    """One MLflow server or folder.

    Parameters
    ----------
    tracking_uri
        e.g. `http://127.0.0.1:5000` or `sqlite:///mlflow.db`.
    """

    tracking_uri: str

    @property
    def client(self) -> Any:
        """A client; the server is asked first, because MLflow waits minutes for an absent one."""
        if self.tracking_uri.startswith(("http://", "https://")):
            self._knock()
        with told(self):
            from mlflow import MlflowClient

            return MlflowClient(self.tracking_uri, self.tracking_uri)

    def _knock(self) -> None:
        try:
            with urllib.request.urlopen(
                f"{self.tracking_uri.rstrip('/')}/health", timeout=_REACH_S
            ):
                return
        except urllib.error.HTTPError:
            return  # somebody answers; what he thinks of us, MLflow's own client will tell
        except OSError as error:
            raise StateError(
                f"no MLflow answers at {self.tracking_uri} ({error}); start it with "
                "`mlflow server`, or name it with --tracking-uri."
            ) from error


@contextlib.contextmanager
def told(bridge: Mlflow) -> Iterator[None]:
    """Turn MLflow's refusals into errors in words.

    Its warnings to developers are left out, and what it prints goes to standard error.
    """
    try:
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise MissingExtra("the bridge to MLflow", "mlflow") from error
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    except MlflowException as error:
        first = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(f"MLflow at {bridge.tracking_uri} refused: {first}.") from error


def download(uri: str, to: Path, *, tracking_uri: str) -> tuple[Path, Any]:
    """Fetch a model of MLflow; return its folder and its `MLmodel`. Nothing of it is run."""
    if not uri.startswith(("models:/", "runs:/")):
        raise ConfigError(f"{uri!r} is no model of MLflow; expected for example models:/churn/3.")
    bridge = Mlflow(tracking_uri)
    _ = bridge.client
    with told(bridge):
        import mlflow.artifacts
        from mlflow.models import Model

        found = mlflow.artifacts.download_artifacts(
            artifact_uri=uri, dst_path=str(to), tracking_uri=tracking_uri, registry_uri=tracking_uri
        )
        return Path(found), Model.load(found)
