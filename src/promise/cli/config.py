"""What the command line is told: `promise.toml`, `ROLE=NAME` and `KEY=VALUE`, read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from promise.data.schema import ROLES
from promise.errors import ConfigError, near
from promise.promises.read import read_model_file


def read_config(path: Path) -> dict[str, Any]:
    """Read a `promise.toml` whole, as `ModelFile.to_json` has it; anything strange in it fails.

    Raises
    ------
    ConfigError
        When the file is absent, is no TOML, or says something that cannot be.
    """
    try:
        return read_model_file(path).to_json()
    except ConfigError as error:
        raise ConfigError(f"--config {error}") from None


def seconds(text: str) -> float:
    """Read a time span; milliseconds and days too.

    Examples
    --------
    >>> seconds("20ms"), seconds("7d")
    (0.02, 604800.0)
    """
    from promise.discovery.options import seconds as span

    for ending, factor in (("ms", 0.001), ("d", 86400.0)):
        if text.endswith(ending):
            return span(text.removesuffix(ending)) * factor
    return span(text)


def column_roles(pairs: list[str]) -> dict[str, str]:
    """Read `ROLE=NAME` pairs as column to role.

    Examples
    --------
    >>> column_roles(["label=income"])
    {'income': 'label'}
    """
    roles = {}
    for pair in pairs:
        role, equals, name = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--column {pair}: expected ROLE=NAME, for example label=income.")
        if role not in ROLES:
            raise ConfigError(f"--column {pair}: there is no role {role!r}; {near(role, ROLES)}")
        roles[name] = role
    return roles


READING: dict[str, Callable[[str], tuple[str, Any]]] = {
    "delimiter": lambda text: ("reading.delimiter", text.replace("\\t", "\t")),
    "encoding": lambda text: ("reading.encoding", text),
    "decimal": lambda text: ("reading.decimal", text),
    "compression": lambda text: ("reading.compression", text),
}
"""What `--set` knows of how data is read, wherever a command reads some."""


def set_values(
    pairs: list[str], readers: Mapping[str, Callable[[str], tuple[str, Any]]]
) -> dict[str, Any]:
    """Read `KEY=VALUE` pairs; a reader returns the field, `group.key` for one of a group."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if key not in readers or not equals:
            raise ConfigError(f"--set {pair}: expected KEY=VALUE; {near(key, readers)}")
        try:
            field, value = readers[key](text)
        except ValueError:
            raise ConfigError(f"--set {pair}: {text!r} is not a whole number.") from None
        group, dot, part = field.partition(".")
        if dot:
            found.setdefault(group, {})[part] = value
        else:
            found[field] = value
    return found
