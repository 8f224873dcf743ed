"""What the columns of a source mean: type, unit, role, and how their text is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

from promise.errors import ConfigError, DataError, near

FieldType = Literal["number", "boolean", "category", "text", "date"]
Role = Literal[
    "input", "label", "ignore", "id", "time", "group", "entity", "other", "amount", "protected",
    "weight", "title", "body", "domain", "query", "document", "item", "person",
    "device", "ip", "user_agent", "location", "known_at", "source",
]  # fmt: skip
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True)
class Field:
    """One column: how its values are read and what part it plays.

    Parameters
    ----------
    type
        `number` and `boolean` become float64 (missing: NaN), `date` datetime64[us] (NaT),
        `category` and `text` objects of str or None.
    role
        `input` feeds the model; the other roles are used by splits, labels and workloads.
    format
        For dates kept as text: `"iso"` or a strptime pattern; several are joined by `|`.
    nulls
        Text tokens that mean missing, besides the empty string.
    decimal
        Decimal mark of numbers kept as text.
    """

    name: str
    type: FieldType
    role: Role = "input"
    unit: str | None = None
    format: str | None = None
    nulls: tuple[str, ...] = ()
    decimal: str = "."


@dataclass(frozen=True)
class Schema:
    """The ordered fields of a source or of a request.

    Examples
    --------
    >>> schema = Schema((Field("age", "number"), Field("income", "category", role="label")))
    >>> schema.named("label").name
    'income'
    >>> [field.name for field in schema.inputs]
    ['age']
    """

    fields: tuple[Field, ...]

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, name: str) -> Field:
        if name in self._by_name:
            return self._by_name[name]
        raise DataError(f"there is no column {name!r}; {near(name, self.names)}")

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in reversed(self.fields)}

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(field.name for field in self.fields)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Fields that feed the model."""
        return tuple(f for f in self.fields if f.role in ("input", "protected"))

    def named(self, role: Role) -> Field:
        """Return the one field with this role."""
        found = self.find(role)
        if found is None:
            raise DataError(f"no column plays the role {role!r}; say --column {role}=NAME.")
        return found

    def find(self, role: Role) -> Field | None:
        """Return the field with this role, or None."""
        return next((f for f in self.fields if f.role == role), None)

    def with_roles(self, roles: Mapping[str, str]) -> Schema:
        """Give columns their roles: `{"income": "label"}` maps column to role."""
        for name, role in roles.items():
            if role not in ROLES:
                raise ConfigError(f"there is no role {role!r}; {near(role, ROLES)}")
            if name not in self:
                raise DataError(f"there is no column {name!r}; {near(name, self.names)}")
        return Schema(
            tuple(
                replace(f, role=roles[f.name]) if f.name in roles else f  # type: ignore[arg-type]
                for f in self.fields
            )
        )

    def only(self, names: tuple[str, ...]) -> Schema:
        """Return the schema of these columns, in this order."""
        return Schema(tuple(self[name] for name in names))

    def difference(self, other: Schema) -> list[str]:
        """Say column by column how `other` differs; empty when it does not.

        Examples
        --------
        >>> a = Schema((Field("age", "number"),))
        >>> a.difference(Schema((Field("age", "text"), Field("sex", "category"))))
        ["column 'age' is text, expected number", "column 'sex' is not expected"]
        """
        lines = []
        for field in self.fields:
            if field.name not in other:
                lines.append(f"column {field.name!r} is missing; {near(field.name, other.names)}")
            elif other[field.name].type != field.type:
                came = other[field.name].type
                lines.append(f"column {field.name!r} is {came}, expected {field.type}")
        lines += [f"column {n!r} is not expected" for n in other.names if n not in self]
        return lines

    def to_json(self) -> list[dict[str, Any]]:
        """Return a JSON-ready list of fields."""
        return [
            {k: list(v) if isinstance(v, tuple) else v for k, v in vars(f).items()}
            for f in self.fields
        ]

    @classmethod
    def from_json(cls, data: list[dict[str, Any]]) -> Schema:
        """Read back what `to_json` wrote."""
        return cls(tuple(Field(**{**f, "nulls": tuple(f.get("nulls", ()))}) for f in data))
