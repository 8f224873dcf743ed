"""What every estimator must keep to: inherit the suite in a test file and give `make`."""

from __future__ import annotations

import json
import pickle
from abc import ABC, abstractmethod
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promise.data.answer import Answer, Class, Number
from promise.data.columns import Array, Columns, FloatArray, IntArray
from promise.job import Job
from promise.models.base import MATRIX, Choice, Estimator, Examples, Fitted, Iterative, Range

JOB = Job(seed=11)


class EstimatorConformance(ABC):
    """Tests that pytest collects in a subclass named `Test…`.

    Examples
    --------
    >>> from promise.models.baseline import Baseline
    >>> class TestBaseline(EstimatorConformance):
    ...     beats_baseline = False
    ...
    ...     def make(self):
    ...         return Baseline()
    >>> TestBaseline().test_params_are_json()
    """

    beats_baseline = True
    """False for the baseline itself."""
    n_rows = 240
    """How many rows the tests learn from; more for families that learn slowly."""

    @abstractmethod
    def make(self) -> Estimator:
        """Return a small, fast configuration of the estimator under test."""

    def test_params_are_json(self) -> None:
        """A configuration travels as JSON and comes back equal."""
        estimator: Any = self.make()
        assert is_dataclass(estimator)
        assert not isinstance(estimator, type)
        params = json.loads(json.dumps(asdict(estimator)))
        assert type(estimator)(**params) == estimator

    def test_configuration_pickles(self) -> None:
        """Configurations are sent to other processes."""
        estimator = self.make()
        assert pickle.loads(pickle.dumps(estimator)) == estimator

    def test_space_names_parameters(self) -> None:
        """Each tunable parameter is a field, and a draw of it makes a valid configuration."""
        estimator: Any = self.make()
        space = type(estimator).space()
        rng = np.random.default_rng(0)
        assert set(space) <= set(asdict(estimator))
        assert all(isinstance(where, Choice | Range) for where in space.values())
        drawn = {name: where.draw(rng) for name, where in space.items()}
        json.dumps(asdict(type(estimator)(**drawn)))

    def test_memory_is_positive_and_grows(self) -> None:
        """The preflight can trust the direction of the estimate."""
        estimator = self.make()
        small = estimator.memory_mb(1_000, 10, 2)
        assert small > 0
        assert estimator.memory_mb(1_000_000, 10, 2) > small
        assert estimator.memory_mb(1_000_000, 100, 2) >= estimator.memory_mb(1_000_000, 10, 2)
        assert estimator.memory_mb(1_000_000, 10, 50) >= estimator.memory_mb(1_000_000, 10, 2)

    def test_batch_equals_single(self) -> None:
        """A row's answer does not depend on its neighbours, to the last bit."""
        if type(self.make()).ordered:
            return
        for answer in self._answers():
            train = examples(answer, self.n_rows)
            fitted = self.make().fit(train, None, JOB)
            whole = fitted.predict(train.columns)
            for size in (1, 2, 7):
                parts = [
                    fitted.predict(train.columns.take(np.arange(start, start + size)))
                    for start in range(0, 42, size)
                ]
                assert np.array_equal(np.concatenate(parts), whole[:42])

    def test_row_order_does_not_matter(self) -> None:
        """Shuffled rows get the same answers."""
        if type(self.make()).ordered:
            return
        for answer in self._answers():
            train = examples(answer, self.n_rows)
            fitted = self.make().fit(train, None, JOB)
            order = np.random.default_rng(5).permutation(train.n_rows)
            shuffled = fitted.predict(train.columns.take(order))
            assert np.array_equal(shuffled, fitted.predict(train.columns)[order])

    def test_saved_equals_fitted(self, tmp_path: Path) -> None:
        """What is loaded answers like what was saved, to the last bit, and nothing executes."""
        for number, answer in enumerate(self._answers()):
            train = examples(answer, self.n_rows)
            fitted = self.make().fit(train, None, JOB)
            folder = tmp_path / str(number)
            folder.mkdir()
            fitted.save(folder)
            loaded = type(fitted).load(folder)
            assert loaded.kind == fitted.kind == self.make().kind
            assert np.array_equal(loaded.predict(train.columns), fitted.predict(train.columns))
            assert not any(path.suffix in {".pkl", ".pickle"} for path in folder.rglob("*"))
            if isinstance(fitted, Iterative):
                assert isinstance(loaded, Iterative)
                assert loaded.rounds == fitted.rounds

    def test_same_seed_same_model(self) -> None:
        """Fitting twice gives the same digits, with and without validation rows."""
        for answer in self._answers():
            train, valid = examples(answer, self.n_rows), examples(answer, 80, seed=2)
            for beside in (None, valid):
                outputs = [
                    self.make().fit(train, beside, JOB).predict(train.columns) for _ in range(2)
                ]
                assert np.array_equal(outputs[0], outputs[1])

    def test_read_only_memmap_with_missing_values(self, tmp_path: Path) -> None:
        """Training reads a shared file that it cannot write, holes included."""
        for answer in self._answers():
            whole = examples(answer, self.n_rows)
            matrix = whole.matrix.copy()
            matrix[::7, 1] = np.nan
            np.save(tmp_path / "matrix.npy", matrix)
            mapped = np.load(tmp_path / "matrix.npy", mmap_mode="r")
            train = _examples(mapped, whole.y, answer)
            fitted = self.make().fit(train, None, JOB)
            output = fitted.predict(train.columns)
            assert np.isfinite(output).all()
            empty = np.full((3, matrix.shape[1]), np.nan, dtype=np.float32)
            assert np.isfinite(fitted.predict(Columns({MATRIX: empty}))).all()

    def test_every_class_has_a_column(self) -> None:
        """A class without training rows still has its probability."""
        if Class not in self.make().answers:
            return
        answer = Class(("a", "b", "c", "d"))
        train = examples(answer, self.n_rows)
        present = train.take(np.flatnonzero(train.y != 1))
        for beside in (None, train):
            output = self.make().fit(present, beside, JOB).predict(train.columns)
            _check_probabilities(output, train.n_rows, 4)
            assert output[:, 1].mean() < 0.25
        one_left = train.take(np.flatnonzero(train.y == 2))
        output = self.make().fit(one_left, None, JOB).predict(train.columns)
        _check_probabilities(output, train.n_rows, 4)
        assert (output.argmax(axis=1) == 2).all()

    def test_shapes_and_dtype(self) -> None:
        """Numbers come as (n,), probabilities as (n, n_classes) that sum to one, float64 both."""
        for answer in self._answers():
            train = examples(answer, self.n_rows)
            output = self.make().fit(train, None, JOB).predict(train.columns)
            assert output.dtype == np.float64
            if isinstance(answer, Class):
                _check_probabilities(output, train.n_rows, answer.n_classes)
            else:
                assert output.shape == (train.n_rows,)

    def test_beats_the_baseline(self) -> None:
        """A tiny training learns an easy problem."""
        if not self.beats_baseline:
            return
        for answer in self._answers():
            train, test = examples(answer, 2 * self.n_rows), examples(answer, 200, seed=3)
            output = self.make().fit(train, None, JOB).predict(test.columns)
            if isinstance(answer, Class):
                prior = np.bincount(train.y, minlength=answer.n_classes).argmax()
                hits = float((output.argmax(axis=1) == test.y).mean())
                assert hits > float((test.y == prior).mean()) + 0.1
            else:
                error = float(((output - test.y) ** 2).mean())
                assert error < 0.7 * float(((train.y.mean() - test.y) ** 2).mean())

    def test_row_weights_are_heard(self) -> None:
        """Heavily weighted rows pull the answer to their side."""
        if Number not in self.make().answers:
            return
        rng = np.random.default_rng(4)
        # Few distinct rows with contradicting labels: no model can please them all.
        matrix = np.sign(rng.normal(size=(self.n_rows, 4))).astype(np.float32)
        train = _examples(matrix, rng.normal(size=self.n_rows), Number())
        weight = np.where(train.y > 0, 20.0, 1.0)
        heavy = Examples(train.columns, train.y, train.answer, train.rows, weight)
        mean = self.make().fit(train, None, JOB).predict(train.columns).mean()
        assert self.make().fit(heavy, None, JOB).predict(train.columns).mean() > mean + 0.2

    def test_rounds_can_be_repeated(self) -> None:
        """A refit at the recorded rounds takes exactly these."""
        for answer in self._answers():
            train, valid = examples(answer, self.n_rows), examples(answer, 80, seed=2)
            fitted = self.make().fit(train, valid, JOB)
            if isinstance(fitted, Iterative):
                fixed = self.make().at_rounds(max(1, fitted.rounds - 1))
                again = fixed.fit(train, None, JOB)
                assert isinstance(again, Iterative)
                assert again.rounds == max(1, fitted.rounds - 1)
            else:
                assert self.make().at_rounds(5) == self.make()

    def test_a_past_deadline_still_answers(self) -> None:
        """A fit whose time is up keeps what it has learned, however little."""
        for answer in self._answers():
            train = examples(answer, self.n_rows)
            fitted = self.make().fit(train, None, Job(seed=11, deadline_s=0.0))
            assert isinstance(fitted, Fitted)
            assert np.isfinite(fitted.predict(train.columns)).all()

    def _answers(self) -> list[Answer]:
        """Return one easy answer per kind that the estimator claims."""
        candidates: list[Answer] = [Number(), Class(("no", "yes")), Class(("a", "b", "c"))]
        return [answer for answer in candidates if type(answer) in self.make().answers]


def examples(answer: Answer, n_rows: int, seed: int = 1) -> Examples:
    """Return an easy problem: six columns, of which three matter, nearly linearly."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_rows, 6)).astype(np.float32)
    signal = 2.0 * matrix[:, 0] - matrix[:, 1] + 0.5 * matrix[:, 2] ** 2
    noisy = signal + 0.1 * rng.normal(size=n_rows)
    if isinstance(answer, Class):
        # Fixed cuts, not quantiles of these rows: train and test share one meaning of a class.
        cuts = np.linspace(-2.0, 3.0, answer.n_classes + 1)[1:-1]
        return _examples(matrix, np.searchsorted(cuts, noisy), answer)
    return _examples(matrix, 10.0 + noisy, answer)


def _examples(matrix: FloatArray, y: Array, answer: Answer) -> Examples:
    rows: IntArray = np.arange(len(y))
    names = tuple(f"x{i}" for i in range(matrix.shape[1]))
    return Examples(Columns({MATRIX: matrix}), y, answer, rows=rows, names=names)


def _check_probabilities(output: Array, n_rows: int, n_classes: int) -> None:
    assert output.shape == (n_rows, n_classes)
    assert np.isfinite(output).all()
    assert (output >= 0).all()
    assert np.allclose(output.sum(axis=1), 1.0, atol=1e-6)
