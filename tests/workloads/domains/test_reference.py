"""The reference presets: they learn a known answer, save natively and load without gensim."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from promise.data.answer import Class
from promise.data.columns import Columns
from promise.features.names_rules import SuffixRules
from promise.job import Job
from promise.models.blend import Blend
from promise.models.hashed import NAME
from promise.pipeline.conformance import BoundConformance, Row
from promise.pipeline.pipeline import Pipeline
from promise.workloads.domains import reference
from promise.workloads.domains.naming import Naming
from promise.workloads.domains.presets import PRESETS
from promise.workloads.domains.split import NameSplit
from promise.workloads.domains.task import Sheet, names_task

pytest.importorskip("gensim", reason="needs the words extra")

JOB = Job(seed=3, threads=1)


def generated(n_rows: int = 3000) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Return names of two words of their class's ten and a shared one; a tenth are mislabelled."""
    rng = np.random.default_rng(5)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(rng.choice(syllables, 3)) for _ in range(40)]
    codes = rng.integers(3, size=n_rows)
    drawn = rng.integers(10, size=(n_rows, 3))
    names = [
        f"{words[10 * code + one]}-{words[10 * code + two]}.{words[30 + shared]}.com"
        for code, (one, two, shared) in zip(codes.tolist(), drawn.tolist(), strict=True)
    ]
    wrong = rng.random(n_rows) < 0.1
    codes[wrong] = rng.integers(3, size=int(wrong.sum()))
    return names, codes, ("one", "three", "two")


def request(names: list[str]) -> Columns:
    """Return normalised names as they arrive."""
    return Columns({NAME: np.array(names, dtype=object)})


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_beats_the_majority_and_is_read_back(name: str, tmp_path: Path) -> None:
    names, codes, classes = generated()
    told: list[str] = []
    featurize, score = PRESETS[name].fit(names[:2000], codes[:2000], classes, JOB, told.append)
    held = request(names[2000:])
    output = score.many(featurize.many(held, {}, None))
    assert output.shape == (1000, 3)
    np.testing.assert_allclose(output.sum(axis=1), 1.0)
    accuracy = (output.argmax(axis=1) == codes[2000:]).mean()
    assert 0.7 < accuracy < 0.97  # who knows every word is right in 93 %, the majority in 34 %
    for stage in ("featurize", "score"):
        (tmp_path / stage).mkdir()
    featurize.save(tmp_path / "featurize")
    score.save(tmp_path / "score")
    again = type(featurize).load(tmp_path / "featurize")
    loaded = Blend.load(tmp_path / "score").many(again.many(held, {}, None))
    np.testing.assert_array_equal(loaded, output)
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds <= {".npy", ".npz", ".json", ".txt"}
    assert told


@pytest.mark.slow
def test_a_single_fit_is_told_beside_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    names, codes, classes = generated(1200)
    monkeypatch.setattr(reference, "BATCH", 300)
    preset = PRESETS["reference"]
    featurize, score = preset.fit(names, codes, classes, JOB, lambda _: None)
    assert preset.beside is not None
    beside = preset.beside(featurize, names, codes, classes, JOB, lambda _: None)
    rows = featurize.many(request(names), {}, None)
    batches, single = score.many(rows), beside["single fit"].many(rows)
    assert (single.argmax(axis=1) == codes).mean() > (batches.argmax(axis=1) == codes).mean()


def test_the_reference_is_as_specified() -> None:
    trees = reference.TREES
    assert (trees.rounds, trees.leaves, trees.learning_rate) == (100, 31, 0.1)
    assert (trees.column_sample, trees.subsample, reference.BATCH) == (0.8, 0.8, 10_000)


@lru_cache
def pipelines() -> tuple[tuple[str, Pipeline], ...]:
    """Return both presets learned from the same names, as training puts them together."""
    names, codes, classes = generated(800)
    answer = Class(classes, unknown="unknown")
    found = []
    for name, preset in PRESETS.items():
        featurize, score = preset.fit(names, codes, classes, JOB, lambda _: None)
        task = names_task(
            Sheet("domain", "category"), classes, "unknown", NameSplit("random", 7), (0.4, 0.3, 0.3)
        )
        found.append(
            (name, Pipeline(task, score, Naming(answer), featurize, SuffixRules("domain")))
        )
    return tuple(found)


class TestBound(BoundConformance):
    """One row, a batch and the pipeline agree; single rows take the general path."""

    fast = False

    def cases(self) -> Iterator[tuple[str, Pipeline, list[Row]]]:
        """Give both presets and rows as they come."""
        asked = ["bücher.example", "https://A.b.com:8/x", "", "10.0.0.1", "unseen-words.net", None]
        rows: list[Row] = [{"domain": text} for text in (*generated(10)[0], *asked)]
        for name, pipeline in pipelines():
            yield name, pipeline, rows
