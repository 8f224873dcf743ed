"""The tables that discovery is measured on, and one fixed split of each for every system.

The files lie beside the project: `$PROMISE_DATA`, default `../shared/data`. What only looks into
the future or is a sum of the target is dropped for all systems; identifiers are kept, since
seeing them is part of the work.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

Kind = Literal["class", "number"]

SEED = 20240607  # of split, subsample and order: the same in every run
TEST_SHARE = 0.2

LEFT_OUT = {
    "adult_test": "adult is split from its training file like every other table",
}
"""Files of the two folders that are no table of the bench, and why."""


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV; only blanks are missing: what else means that is for each system to see."""
    return pd.read_csv(path, keep_default_na=False, na_values=["", " "])


def _read_tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def _read_headless(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, header=None)
    return table.rename(columns=lambda number: f"column_{number}")


@dataclass(frozen=True)
class Dataset:
    """One table of the bench.

    Parameters
    ----------
    target
        The column to predict; empty: the last one.
    drop
        Columns that no system sees, because they are known only after the event, are parts of
        the target, or empty.
    rows
        How many rows are used, chosen by the bench's seed; None: all.
    """

    name: str
    path: Path
    target: str
    kind: Kind
    drop: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    rows: int | None = None
    read: Callable[[Path], pd.DataFrame] = _read_csv

    @property
    def metric(self) -> str:
        """What the table is scored by: accuracy or R²."""
        return "accuracy" if self.kind == "class" else "r2"

    def load(self) -> pd.DataFrame:
        """Return the rows that have a target, without the dropped columns."""
        table = self.read(self.path)
        table.columns = [str(name) for name in table.columns]
        table = table.drop(columns=list(self.drop))
        for name in self.dates:
            table[name] = pd.to_datetime(table[name])
        table = table[table[self.target].notna()].reset_index(drop=True)
        if self.rows is not None and self.rows < len(table):
            rng = np.random.default_rng(SEED)
            chosen = np.sort(rng.choice(len(table), self.rows, replace=False))
            table = table.iloc[chosen].reset_index(drop=True)
        return table

    def split(self, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return 80 % to learn from and 20 % to score on, by classes where there are some."""
        rng = np.random.default_rng(SEED)
        labels = (
            table[self.target].astype(str).to_numpy(dtype=object)
            if self.kind == "class"
            else np.zeros(len(table), dtype=object)
        )
        tested = np.zeros(len(table), dtype=bool)
        for label in sorted(set(labels)):
            members = rng.permutation(np.flatnonzero(labels == label))
            tested[members[: round(TEST_SHARE * len(members))]] = True
        return table[~tested].reset_index(drop=True), table[tested].reset_index(drop=True)


def data_folder() -> Path:
    """Return the folder of real data.

    Raises
    ------
    SystemExit
        When it is not there; says which variable names it.
    """
    folder = Path(os.environ.get("PROMISE_DATA", "../shared/data")).resolve()
    if not (folder / "pmlb").is_dir():
        raise SystemExit(f"no tables in {folder}; set PROMISE_DATA to the folder that has pmlb/")
    return folder


def datasets(only: tuple[str, ...] = ()) -> list[Dataset]:
    """Return the tables in a fixed shuffled order, so that any first part is a fair mix."""
    folder = data_folder()
    known = sorted([*_pmlb(folder / "pmlb"), *_tabular(folder / "tabular")], key=lambda d: d.name)
    random.Random(SEED).shuffle(known)
    unknown = set(only) - {d.name for d in known}
    if unknown:
        names = ", ".join(sorted(d.name for d in known))
        raise SystemExit(f"no table {', '.join(sorted(unknown))}; known: {names}")
    return [d for d in known if not only or d.name in only]


def _pmlb(folder: Path) -> list[Dataset]:
    """A name that begins with a number is a regression; all others have classes."""
    found = []
    for path in folder.glob("*.tsv.gz"):
        name = path.name.removesuffix(".tsv.gz")
        kind: Kind = "number" if name.split("_")[0].isdigit() else "class"
        found.append(Dataset(name, path, "target", kind, read=_read_tsv))
    return found


def _tabular(folder: Path) -> list[Dataset]:
    after_take_off = ("dep_time", "dep_delay", "arr_time", "air_time", "hour", "minute")
    return [
        Dataset("adult", folder / "adult_train.csv", "income", "class"),
        Dataset(
            "alibaba",
            folder / "alibaba_genai_requests.csv",
            "exec_time_seconds",
            "number",
            dates=("gmt_create",),
        ),
        Dataset("bank", folder / "bank_marketing.csv", "y", "class", drop=("duration",)),
        Dataset(
            "bike",
            folder / "bike_sharing_hourly.csv",
            "cnt",
            "number",
            drop=("casual", "registered"),
            dates=("dteday",),
        ),
        Dataset("california", folder / "california_housing.csv", "median_house_value", "number"),
        Dataset("diamonds", folder / "diamonds.csv", "price", "number"),
        Dataset("german_credit", folder / "german_credit.csv", "credit_risk", "class"),
        Dataset(
            "nycflights",
            folder / "nycflights13.parquet",
            "arr_delay",
            "number",
            drop=after_take_off,
            read=pd.read_parquet,
        ),
        Dataset(
            "taxi",
            folder / "nyc_green_taxi_2021_2023.parquet",
            "fare_amount",
            "number",
            drop=("total_amount", "ehail_fee", "source_file"),
            rows=50_000,
            read=pd.read_parquet,
        ),
        Dataset("telco", folder / "telco_churn.csv", "Churn", "class"),
        Dataset(
            "winequality",
            folder / "winequality_white.csv",
            "column_11",
            "number",
            read=_read_headless,
        ),
    ]
