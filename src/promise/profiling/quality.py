"""What is wrong with single columns and with the label, from the profile and the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from promise.data.answer import Answer, Class
from promise.data.columns import Array, Columns
from promise.profiling.association import as_numbers
from promise.profiling.column import ColumnProfile
from promise.profiling.findings import Finding, drop, flag
from promise.profiling.names import names_identifier
from promise.profiling.profile import Profile

NULL_WORDS = frozenset({
    "?", "unknown", "unk", "na", "n/a", "n.a.", "nan", "null", "missing",
    "not_available", "unavailable", "--", "-", ".", "#n/a"
})  # fmt: skip
_READERS = {"number": "to_numeric", "date": "to_datetime"}
_CODES = frozenset({-1.0, -9.0, *(s * (10.0**k - 1) for k in range(2, 10) for s in (1, -1))})


def find_empty(profile: Profile, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find columns without any value, with a single one, or with hardly any."""
    for column in _of(profile, inputs):
        if column.present == 0:
            yield Finding(
                "all_missing",
                "warning",
                (column.name,),
                f"{column.name!r} is missing in all {column.n_rows:,} rows.",
                drop([column.name]),
            )
        elif column.distinct <= 1 and column.missing == 0:
            yield Finding(
                "constant",
                "warning",
                (column.name,),
                f"{column.name!r} has the one value {column.top[0][0]!r} in all rows.",
                drop([column.name]),
            )
        elif column.missing > 0.95 * column.n_rows:
            yield Finding(
                "mostly_missing",
                "note",
                (column.name,),
                f"{column.name!r} is missing in {column.missing / column.n_rows:.1%} of the rows.",
                drop([column.name]),
            )


def find_identifiers(profile: Profile, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find columns that only name or number the rows, and keys that many rows share."""
    for column in _of(profile, inputs):
        if "identifier" in column.guesses:
            how = (
                f"counts the rows from {column.min:.0f} to {column.max:.0f}"
                if "row number" in column.guesses
                else f"has {column.distinct:,} different values in {column.present:,} rows"
            )
            yield Finding(
                "identifier",
                "warning",
                (column.name,),
                f"{column.name!r} {how}: a model can only learn rows by heart from it.",
                drop([column.name]),
            )
        elif _is_shared_key(column):
            per_key = column.present / column.distinct
            yield Finding(
                "repeated_key",
                "note",
                (column.name,),
                f"{column.name!r} names {column.distinct:,} things with {per_key:.1f} rows each; "
                "if new ones must be predicted, whole groups belong on one side of the split.",
                flag("group", column.name),
            )


def _is_shared_key(column: ColumnProfile) -> bool:
    """Say whether a column names things of which each has several rows."""
    named = names_identifier(column.name) and column.type in ("number", "category", "text")
    return named and column.distinct >= 100 and 2 <= column.present / column.distinct <= 1000


def find_null_words(profile: Profile, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find words, codes and zeros that seem to stand for a missing value."""
    for column in _of(profile, inputs):
        for token, count in column.null_tokens:
            yield Finding(
                "null_token",
                "note",
                (column.name,),
                f"{token!r} in {column.name!r} is read as missing ({count:,} rows).",
                f"frame[{f'has {column.name}'!r}] = frame[{column.name!r}].ne({token!r})"
                "  # if its absence tells something",
            )
        blanks = column.unparsed
        if blanks and column.type in ("number", "date"):
            yield Finding(
                "mixed_types",
                "warning" if blanks > 0.01 * column.n_rows else "note",
                (column.name,),
                f"{blanks:,} of {column.n_rows:,} values of {column.name!r} cannot be read as a "
                f"{column.type} and count as missing.",
                f"frame.loc[pandas.{_READERS[column.type]}(frame[{column.name!r}], "
                f"errors='coerce').isna(), {column.name!r}].value_counts()  # what to clean",
            )


def find_kept_null_words(profile: Profile, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find categories such as "unknown" that read like a missing value; one finding per word."""
    found: dict[str, list[tuple[str, int]]] = {}
    for column in _of(profile, inputs):
        for value, count in column.top:
            if isinstance(value, str) and value.strip().lower() in NULL_WORDS:
                found.setdefault(value, []).append((column.name, count))
    for word, places in found.items():
        listed = _listed([f"{name!r} ({n / profile.n_rows:.1%})" for name, n in places])
        yield Finding(
            "null_token",
            "note",
            tuple(name for name, _ in places),
            f"{word!r} in {listed} reads like a missing value and is kept as a category.",
            f"frame = frame.replace({word!r}, None)",
        )


def find_codes(profile: Profile, columns: Columns, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find numbers such as -1, 999 or 0 that stand far from all others and come often."""
    found: dict[float, list[tuple[str, str]]] = {}
    for column in _of(profile, inputs):
        if column.type != "number" or column.distinct < 5:
            continue
        code = _isolated_code(as_numbers(columns[column.name]))
        if code is not None:
            value, count, low, high = code
            share = count / columns.n_rows
            about = f"{column.name!r} ({share:.2%} of the rows; others {low:g} to {high:g})"
            found.setdefault(value, []).append((column.name, about))
    for value, places in found.items():
        names = tuple(name for name, _ in places)
        yield Finding(
            "sentinel_code",
            "note",
            names,
            f"{value:g} stands apart from all other values and may mean missing in "
            f"{_listed([about for _, about in places])}.",
            f"frame[{list(names)}] = frame[{list(names)}].replace({value:g}, None)",
        )


def _isolated_code(x: Array) -> tuple[float, int, float, float] | None:
    """Return (value, count, lowest and highest of the others) of a code at either end."""
    values, counts = np.unique(x[~np.isnan(x)], return_counts=True)
    if len(values) < 5:
        return None
    rest_high, rest_low = values[:-1], values[1:]
    top, n_top = float(values[-1]), int(counts[-1])
    enough = max(10, 0.001 * len(x))
    if top in _CODES and n_top >= enough and top - rest_high[-1] > np.ptp(rest_high):
        return top, n_top, float(rest_high[0]), float(rest_high[-1])
    low, n_low = float(values[0]), int(counts[0])
    if low in _CODES and n_low >= enough and rest_low[0] - low > np.ptp(rest_low):
        return low, n_low, float(rest_low[0]), float(rest_low[-1])
    if low in _CODES and n_low >= enough and rest_low[0] >= 0:
        # -1 beside counts from 0 on: the only negative value, and no step of a ladder of codes
        few = len(values) <= 20 and n_low < 0.5 * counts[1:].max() and values[-1] <= 10
        if not few:
            return low, n_low, float(rest_low[0]), float(rest_low[-1])
    middle = float(np.median(x[x > 0])) if (x > 0).any() else 0.0
    step = float(np.median(np.diff(rest_low[: len(rest_low) // 2 + 1])))
    if low == 0 and 2 <= n_low < 0.05 * len(x) and rest_low[0] > max(0.3 * middle, 2 * step) > 0:
        return low, n_low, float(rest_low[0]), float(rest_low[-1])
    return None


def find_mixed(profile: Profile, columns: Columns, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find categories that are numbers for the greater part."""
    for column in _of(profile, inputs):
        if column.type != "category" or column.distinct < 20:
            continue
        texts = [v for v in columns[column.name][:5000].tolist() if v is not None]
        share = float(np.mean([_is_number(t) for t in texts])) if texts else 0.0
        if 0.5 < share < 1.0:
            odd = next(t for t in texts if not _is_number(t))
            yield Finding(
                "mixed_types",
                "warning",
                (column.name,),
                f"{share:.0%} of the values of {column.name!r} are numbers, others are text such "
                f"as {odd!r}.",
                f"frame[{column.name!r}] = pandas.to_numeric(frame[{column.name!r}], "
                "errors='coerce')",
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def find_outliers(profile: Profile, columns: Columns, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Find numbers with a few values far outside all others; one finding for all columns."""
    places = []
    for column in _of(profile, inputs):
        if column.type != "number" or column.distinct < 20:
            continue
        x = as_numbers(columns[column.name])
        x = x[~np.isnan(x)]
        if len(x) < 100:
            continue
        low, middle, high = np.quantile(x, [0.01, 0.5, 0.99])
        reach = 10 * max(float(high - middle), float(middle - low))
        far = x[np.abs(x - middle) > reach]
        if reach > 0 and 0 < len(far) <= 0.005 * len(x):
            worst = float(far[np.abs(far - middle).argmax()])
            about = f"{column.name!r} (up to {worst:g} where 98 % are {low:g} to {high:g})"
            places.append((column.name, about))
    if places:
        names = tuple(name for name, _ in places)
        yield Finding(
            "outliers",
            "note",
            names,
            f"a few values lie far outside the rest in {_listed([about for _, about in places])}.",
            f"frame[{list(names)}] = frame[{list(names)}].clip("
            f"*frame[{list(names)}].quantile([0.01, 0.99]).values, axis=1)",
        )


def _listed(items: list[str], limit: int = 8) -> str:
    more = f" and {len(items) - limit} more columns" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def find_texts(profile: Profile, inputs: tuple[str, ...]) -> Iterator[Finding]:
    """Note free text, categories of very many values, coded dates and survey weights."""
    for column in _of(profile, inputs):
        name = column.name
        if "free text" in column.guesses:
            text = f"{name!r} is free text: it enters as n-grams, not as a category."
            yield Finding("free_text", "note", (name,), text, drop([name]))
        if "high cardinality" in column.guesses and not _is_shared_key(column):
            text = (
                f"{name!r} has {column.distinct:,} categories, "
                f"{column.present / column.distinct:.1f} rows each."
            )
            yield Finding("high_cardinality", "note", (name,), text, drop([name]))
        if "survey weight" in column.guesses:
            text = (
                f"{name!r} reads like a survey weight (correlation with the target "
                f"{column.correlation or 0:.2f}): it weighs rows and describes none of them."
            )
            yield Finding("survey_weight", "note", (name,), text, drop([name]))
        if "date" in column.guesses and column.type == "number":
            text = f"{name!r} holds dates written as numbers ({column.min:.0f} … {column.max:.0f})."
            seconds = float(column.min or 0) > 99_999_999
            how = f"frame[{name!r}], unit='s'" if seconds else (
                f"frame[{name!r}].astype('Int64').astype('string'), format='%Y%m%d'"
            )  # fmt: skip
            line = f"frame[{name!r}] = pandas.to_datetime({how})"
            yield Finding("coded_date", "note", (name,), text, line)


def find_label_faults(y: Array, answer: Answer, target: str) -> Iterator[Finding]:
    """Find rare classes, and numbers cut off at a limit."""
    if isinstance(answer, Class):
        counts = np.bincount(y.astype(np.int64), minlength=answer.n_classes)
        least = int(counts.argmin())
        share = counts[least] / max(1, len(y))
        if counts[least] < 10 or share < 0.05 / max(1, answer.n_classes / 2):
            rare = int((counts < 10).sum())
            more = f"; {rare} classes have fewer than 10 rows" if rare > 1 else ""
            yield Finding(
                "imbalance",
                "warning" if counts[least] < 10 or share < 0.001 else "note",
                (target,),
                f"class {answer.classes[least]!r} has {counts[least]:,} of {len(y):,} rows "
                f"({share:.2%}){more}; accuracy would hide how it fares.",
                "--metric " + ("average_precision" if answer.n_classes == 2 else "f1_macro"),
            )
        return
    values, counts = np.unique(y, return_counts=True)
    for at, side in ((len(values) - 1, "highest"), (0, "lowest")):
        near = counts[max(0, at - 20) : at] if at else counts[1:21]
        if len(values) < 100 or values[at] == 0 or counts[at] < max(20, 0.003 * len(y)):
            continue
        if counts[at] >= 10 * max(1, int(np.median(near))) and counts[at] > 3 * near.max():
            yield Finding(
                "target_capped",
                "note",
                (target,),
                f"{counts[at]:,} of {len(y):,} labels ({counts[at] / len(y):.1%}) are exactly the "
                f"{side} value {values[at]:g}: it looks cut off there.",
                f"frame = frame[frame[{target!r}] {'<' if at else '>'} {values[at]:g}]",
            )


def find_repeats(profile: Profile) -> Iterator[Finding]:
    """Find rows that repeat another one."""
    share = profile.duplicates
    count = round(share * profile.n_rows)
    if count < 1:
        return
    whole = profile.duplicates_checked >= profile.n_rows
    about = "" if whole else "about "
    yield Finding(
        "duplicates",
        "warning" if share > 0.05 else "note",
        (),
        f"{about}{count:,} of {profile.n_rows:,} rows ({share:.2%}) repeat another row exactly.",
        "frame = frame.drop_duplicates()",
    )


def _of(profile: Profile, names: tuple[str, ...]) -> Iterator[ColumnProfile]:
    wanted = set(names)
    return (column for column in profile.columns if column.name in wanted)
