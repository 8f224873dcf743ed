"""`promise.toml`: one model's settings, read strictly."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from promise.errors import ConfigError, near

KEYS = ("name", "workload", "promises", "rollout", "experiment", "retrain")


def read_config(path: Path) -> dict[str, Any]:
    """Read a `promise.toml`; an unknown key fails with the near match.

    Raises
    ------
    ConfigError
        When the file is absent, is no TOML, or has a key that nothing reads.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"--config {path}: there is no such file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: {error}.") from error
    for key in read:
        if key not in KEYS:
            raise ConfigError(f"--config {path}: there is no key {key!r}; {near(key, KEYS)}")
    return read
