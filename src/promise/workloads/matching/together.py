"""What files tell and what the model's log tells beside them, each event once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promise.data.columns import Array, IntArray
from promise.data.infer import infer_field
from promise.data.source import Source
from promise.features.people_profile import FIELDS
from promise.kernels.parsing import is_text, parse_number
from promise.profiling.names import names_identifier
from promise.records.history import History
from promise.workloads.matching.kinds import IMPRESSION
from promise.workloads.matching.profiles import told_profiles
from promise.workloads.matching.roles import Roles, people_roles
from promise.workloads.matching.tables import Deeds, joined_deeds, texts, told_column, whole_table

_MOST_SHOWN = 2_000_000
"""Of a longer log of lists only the newest places are read."""
_NUMBERS = ("age", "lat", "lon")


def people_together(file: Source, named: Mapping[str, str], log: History) -> pa.Table:
    """Return the profiles of a file and of a log in one table; of one person the log's come last.

    Returns
    -------
    A column for each field that is told, under its own name, and one for each further number.
    """
    roles = people_roles(file.columns, named, file.name)
    parts = [_plain(whole_table(file), roles)]
    told, _ = told_profiles(log)
    if told is not None:
        parts.append(_of_log(told))
    return pa.concat_tables(parts, promote_options="permissive")


def only_new(deeds: Deeds, known: Deeds) -> Deeds:
    """Return the deeds that are not among those known: of other people, kind or time.

    Examples
    --------
    >>> from promise.workloads.matching.tables import no_deeds
    >>> only_new(no_deeds(), no_deeds()).n
    0
    """
    both = np.concatenate([_rows(known), _rows(deeds)])
    _, code = np.unique(both, axis=0, return_inverse=True)
    code = code.ravel()
    return deeds.take(~np.isin(code[known.n :], code[: known.n]))


def with_shown(deeds: Deeds, log: History, ids: Array) -> Deeds:
    """Return deeds with the lists that were given, as far as this machine's log tells them.

    Clients are not told by which chance somebody came into a list, so only the log can say.
    """
    known = {id: code for code, id in enumerate(ids.tolist())}
    found = [
        (known[one.entity], known[one.other], one.at.timestamp(), one.position, one.propensity)
        for one in log.shown()
        if one.entity in known and one.other in known and one.propensity is not None
    ][-_MOST_SHOWN:]
    if not found:
        return deeds
    chooser, chosen, at_s, position, propensity = np.array(found, dtype=np.float64).T
    n = len(found)
    shown = Deeds(
        chooser=chooser.astype(np.int32),
        chosen=chosen.astype(np.int32),
        kind=np.full(n, IMPRESSION, np.int8),
        at_us=np.round(at_s * 1e6).astype(np.int64),
        position=position.astype(np.float32),
        propensity=propensity.astype(np.float32),
        group=np.full(n, -1, np.int32),
        row=np.full(n, -1, np.int64),
    )
    last_us = int(deeds.at_us[-1]) if deeds.n else 0
    return joined_deeds([deeds, shown.take(shown.at_us <= last_us)])


def _plain(table: pa.Table, roles: Roles) -> pa.Table:
    """Return a file's profiles as a log tells them."""
    columns: dict[str, pa.Array] = {}
    for role, name in roles.columns.items():
        if role not in FIELDS:
            continue
        found = told_column(role, name, table.column(name).combine_chunks())
        if role in _NUMBERS:
            columns[role] = pa.array(found, pa.float64(), from_pandas=True)
        elif role == "joined_at":
            columns[role] = found.cast(pa.timestamp("us"))
        elif role == "interests" and not is_text(found):
            columns[role] = _joined_texts(found)
        else:
            columns[role] = texts(found)
    for name in table.column_names:
        if name in roles.columns.values() or name in roles.ignored or name in columns:
            continue
        field = infer_field(name, table.column(name))
        number = field.type in ("number", "boolean") and not names_identifier(name)
        if number or name in roles.extras:
            value = parse_number(table.column(name).combine_chunks(), vars(field))
            columns[name] = pa.array(value, pa.float64(), from_pandas=True)
    return pa.table(columns)


def _of_log(told: pa.Table) -> pa.Table:
    place = told.column_names.index("interests")
    liked = _joined_texts(told.column("interests").combine_chunks())
    return told.set_column(place, "interests", liked)


def _joined_texts(lists: pa.Array) -> pa.Array:
    return pc.binary_join(lists.cast(pa.list_(pa.string())), ";")


def _rows(deeds: Deeds) -> IntArray:
    fields = (deeds.at_us, deeds.chooser, deeds.chosen, deeds.kind)
    return np.stack([field.astype(np.int64) for field in fields], axis=1)
