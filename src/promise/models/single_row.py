"""Fitted models bound to one row: the native call prepared once, the digits of `predict` kept.

A bound model reads a matrix of one row that its caller fills again and again. Each kind has a
binder of its own; whatever has none, or fails its probe, answers by `Fitted.predict`.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Callable
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from promise.data.columns import Columns, IntArray
from promise.kernels.boosting import boosting_answer
from promise.models.base import MATRIX, ORDER, Fitted
from promise.models.forest_row import MOST_NODES, forest_answer, forest_booster
from promise.models.xgboost_row import xgboost_arrays, xgboost_sum

Answer = Callable[[], list[float]]
"""What a bound model gives for the row in its matrix: one number, or a probability per class."""

Matrix = npt.NDArray[np.float32]

PROBES = 12
OUTPUT, LEAVES = 0, 2  # what LightGBM calls C_API_PREDICT_NORMAL and _LEAF_INDEX
FLOAT32 = 0
logger = logging.getLogger(__name__)


def bind_model(fitted: Fitted, matrix: Matrix) -> Answer:
    """Return what answers for the row in `matrix`, by the fastest way that gives equal digits.

    Parameters
    ----------
    matrix
        Float32 of shape (1, d), filled by the caller before each call. The result is for one
        thread, as the matrix is.

    Examples
    --------
    >>> from promise.data.answer import Number
    >>> from promise.job import Job
    >>> from promise.models.base import Examples
    >>> from promise.models.boosting import LightGBM
    >>> x = np.arange(100, dtype=np.float32)[:, None]
    >>> train = Examples(Columns({MATRIX: x}), 2.0 * x[:, 0], Number())
    >>> fitted = LightGBM(rounds=5).fit(train, None, Job())
    >>> row = np.array([[30.0]], dtype=np.float32)
    >>> bind_model(fitted, row)() == fitted.predict(Columns({MATRIX: row})).tolist()
    True
    """
    general = bind_any(fitted, matrix)
    binder = BINDERS.get(fitted.kind)
    if binder is None:
        return general
    try:
        native = binder(fitted, matrix)
        if native is None or agree(native, general, matrix):
            return native or general
        reason = "its digits differ"
    except Exception as error:  # another package's inner calls may change with any release of it
        reason = str(error)
    logger.warning(
        "single rows take the general path", extra={"kind": fitted.kind, "reason": reason}
    )
    return general


def bind_any(fitted: Fitted, matrix: Matrix) -> Answer:
    """Return the answer of any fitted model by its own `predict`."""
    alone: IntArray = np.zeros((1, 2), dtype=np.int64)  # the only row of its entity
    request = Columns({MATRIX: matrix, ORDER: alone})

    def answer() -> list[float]:
        output = fitted.predict(request)
        row: list[float] = output.reshape(-1).tolist()
        return row

    return answer


def agree(native: Answer, general: Answer, matrix: Matrix) -> bool:
    """Say whether two ways answer probes of all sizes, with and without gaps, alike to the bit."""
    kept = matrix.copy()
    rng = np.random.default_rng(0)
    try:
        for number in range(PROBES):
            drawn = rng.normal(size=matrix.shape) * 10.0 ** (number - 4)
            matrix[:] = np.round(drawn) if number % 2 else drawn
            if number % 3:
                matrix[rng.random(matrix.shape) < 0.2] = np.nan
            with np.errstate(all="ignore"):
                if not same(native(), general()):
                    return False
    finally:
        matrix[:] = kept
    return True


def same(first: list[float], second: list[float]) -> bool:
    """Say whether two answers have the same digits; NaN equals NaN."""
    return len(first) == len(second) and all(
        a == b or (isnan(a) and isnan(b)) for a, b in zip(first, second, strict=True)
    )


def bind_lightgbm(fitted: Any, matrix: Matrix) -> Answer | None:
    """Bind LightGBM's call for one row, which its Python package does not offer."""
    model = fitted.model
    if model["booster"] is None:
        return None
    booster = model["booster"]
    row = LightGBMRow(booster, matrix, OUTPUT, booster.num_model_per_iteration())
    return lambda: boosted(row.raw(), model)


def bind_xgboost(fitted: Any, matrix: Matrix) -> Answer | None:
    """Bind XGBoost's trees to LightGBM's walk; else its own call, described once."""
    model = fitted.model
    if model["booster"] is None:
        return None
    row = XGBoostRow(model["booster"], matrix)
    walked = walked_xgboost(model["booster"], matrix)
    raw = row.raw if walked is None or not agree(walked, row.raw, matrix) else walked
    return lambda: boosted(raw(), model)


def walked_xgboost(booster: Any, matrix: Matrix) -> Answer | None:
    """Return XGBoost's output by LightGBM's walk; None for models that are not walked so."""
    trees = xgboost_arrays(booster)
    if trees is None or len(trees["left"]) > MOST_NODES:
        return None
    row = LightGBMRow(
        forest_booster(trees, matrix.shape[1]), matrix, LEAVES, n_outputs=len(trees["roots"])
    )
    return xgboost_sum(trees, row.raw)


def bind_trees(fitted: Any, matrix: Matrix) -> Answer | None:
    """Bind a tree or forest to LightGBM's walk; none where it would be too large a copy."""
    model = fitted.model
    if len(model["left"]) > MOST_NODES:
        return None
    row = LightGBMRow(
        forest_booster(model, matrix.shape[1]), matrix, LEAVES, n_outputs=len(model["roots"])
    )
    return forest_answer(model, row.raw)


def boosted(raw: list[float], model: dict[str, Any]) -> list[float]:
    """Return `boosting_answer` of one row, without arrays for a number or two classes."""
    if model["n_classes"] == 0:
        return [raw[0] * model["scale"] + model["shift"]]
    if len(raw) == 1 and model["n_classes"] == 2:
        return [1.0 - raw[0], raw[0]]
    wide = np.array(raw) if len(raw) == 1 else np.array([raw])
    answer: list[float] = boosting_answer(wide, model)[0].tolist()
    return answer


class LightGBMRow:
    """LightGBM's `PredictForMatSingleRowFast` over a fixed row, on the calling thread.

    Parameters
    ----------
    asked
        `OUTPUT` for the model's output, `LEAVES` for the leaf reached in each tree.
    """

    def __init__(self, booster: Any, matrix: Matrix, asked: int, n_outputs: int) -> None:
        from lightgbm import basic

        self._kept = (booster, matrix)  # the library holds pointers into both
        rounds = booster.best_iteration if booster.best_iteration > 0 else -1
        handle = ctypes.c_void_p()
        self._check = basic._safe_call
        self._check(
            basic._LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle, asked, 0, rounds, FLOAT32, matrix.shape[1],
                basic._c_str("num_threads=1"), ctypes.byref(handle),
            )
        )  # fmt: skip
        weakref.finalize(self, basic._LIB.LGBM_FastConfigFree, handle)
        # The lock is kept: handing it over would cost more than the few microseconds of the call.
        self._predict = ctypes.PyDLL(basic._LIB._name).LGBM_BoosterPredictForMatSingleRowFast
        self._out = (ctypes.c_double * n_outputs)()
        self._length = ctypes.c_int64()
        self._arguments = (
            handle, ctypes.c_void_p(matrix.ctypes.data), ctypes.byref(self._length),
            ctypes.byref(self._out),
        )  # fmt: skip

    def raw(self) -> list[float]:
        """Return the library's output for the row as it now is."""
        if self._predict(*self._arguments) != 0:
            self._check(-1)
        return list(self._out)


class XGBoostRow:
    """XGBoost's `PredictFromDense` over a fixed row."""

    def __init__(self, booster: Any, matrix: Matrix) -> None:
        from xgboost import core

        self._kept = (booster, matrix)
        self._check = core._check_call
        self._predict = ctypes.PyDLL(core._LIB._name).XGBoosterPredictFromDense
        self._shape = ctypes.POINTER(core.c_bst_ulong)()
        self._dimensions = core.c_bst_ulong()
        self._out = ctypes.POINTER(ctypes.c_float)()
        settings = core.make_jcargs(
            type=0, training=False, iteration_begin=0, iteration_end=0, missing=float("nan"),
            strict_shape=False, cache_id=0,
        )  # fmt: skip
        self._arguments = (
            booster.handle, core.array_interface(matrix), settings, ctypes.c_void_p(),
            ctypes.byref(self._shape), ctypes.byref(self._dimensions), ctypes.byref(self._out),
        )  # fmt: skip
        self._check(self._predict(*self._arguments))
        self._width = int(self._shape[self._dimensions.value - 1])

    def raw(self) -> list[float]:
        """Return the library's output for the row as it now is."""
        if self._predict(*self._arguments) != 0:
            self._check(-1)
        return self._out[: self._width]


Binder = Callable[[Any, Matrix], Answer | None]

BINDERS: dict[str, Binder] = {
    "lightgbm": bind_lightgbm, "xgboost": bind_xgboost, "decision_tree": bind_trees,
    "random_forest": bind_trees,
}  # fmt: skip
"""Kind of a fitted model to what binds it to one row."""
