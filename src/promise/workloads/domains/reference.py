"""The first two designs, as they were specified, to compare with.

`reference-tree`: 100-d Word2Vec averaged over words and seven structural numbers, into a decision
tree of depth 15. `reference`: 50-d subword vectors (window 3, at least 5 times) pooled by
1 / (1 + count), rare words in 1,024 buckets, both reduced to 20 numbers; with the five most telling
structural numbers into LightGBM, continued from one batch of 10,000 names to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from promise.data.answer import Class
from promise.data.columns import Columns, FloatArray, IntArray
from promise.features.name_shape import shapes, telling
from promise.features.words import VIEW, AveragedWords, PooledWords, Sentences, principal_axes
from promise.job import Job
from promise.kernels.boosting_continued import fit_lightgbm_continued
from promise.models.base import MATRIX, Examples
from promise.models.blend import Blend, Member, matrix_column
from promise.models.boosting import FittedLightGBM, LightGBM
from promise.models.hashed import NAME
from promise.models.trees import DecisionTree
from promise.models.words import learn_subwords, learn_words
from promise.pipeline.stages import Featurize, Score

BATCH = 10_000
"""Names in one batch of continued training."""

TREES = LightGBM(
    rounds=100,
    early_stopping=0,
    learning_rate=0.1,
    leaves=31,
    column_sample=0.8,
    subsample=0.8,
    l2=1.0,
)
"""The trees of the reference preset; without the penalty rare classes make them diverge."""

_BUCKETS, _AXES, _SHAPES = 1024, 20, 5
_NGRAM_BUCKETS = 2**18  # one for each n-gram of half a million names; gensim's 2,000,000 are 400 MB

Tell = Callable[[str], None]


def fit_reference_tree(
    names: Sequence[str],
    codes: IntArray,
    classes: tuple[str, ...],
    job: Job,
    tell: Tell,
) -> tuple[AveragedWords, Blend]:
    """Learn the original design: averaged vectors of whole words, one decision tree."""
    tell("learning vectors of words")
    vectors = learn_words(
        Sentences.of(names), size=100, min_count=5, window=5, job=job.child("words")
    )
    featurize = AveragedWords(vectors)
    examples = _examples(_matrix(featurize, names), codes, classes)
    tell("growing the tree")
    tree = DecisionTree(max_depth=15, min_leaf=1).fit(examples, None, job.child("tree"))
    return featurize, Blend((Member(VIEW, 1.0, tree),))


def fit_reference(
    names: Sequence[str],
    codes: IntArray,
    classes: tuple[str, ...],
    job: Job,
    tell: Tell,
) -> tuple[PooledWords, Blend]:
    """Learn the design that replaced it: 25 features, trees continued from batch to batch."""
    tell("learning vectors of words and of their n-grams")
    vectors = learn_subwords(
        Sentences.of(names),
        size=50,
        min_count=5,
        window=3,
        shortest=3,
        longest=6,
        n_buckets=_NGRAM_BUCKETS,
        job=job.child("words"),
    )
    mean, axes = principal_axes(names, vectors, _BUCKETS, _AXES)
    kept = telling(shapes(names), codes, len(classes), _SHAPES)
    featurize = PooledWords(vectors, mean, axes, kept)
    matrix = _matrix(featurize, names)
    tell(f"growing trees in batches of {BATCH:,} names")
    model = fit_lightgbm_continued(
        ((matrix[i : i + BATCH], codes[i : i + BATCH]) for i in range(0, len(codes), BATCH)),
        n_batches=-(-len(codes) // BATCH),
        present=np.unique(codes).tolist(),
        n_classes=len(classes),
        params=vars(TREES),
        seed=job.child("trees").seed,
        threads=job.threads,
    )
    return featurize, Blend((Member(VIEW, 1.0, FittedLightGBM(model)),))


def beside_reference(
    featurize: Featurize,
    names: Sequence[str],
    codes: IntArray,
    classes: tuple[str, ...],
    job: Job,
    tell: Tell,
) -> dict[str, Score]:
    """Learn the same trees from all names at once, to tell what the batches lose."""
    tell("growing the same trees from all names at once, to compare")
    examples = _examples(_matrix(featurize, names), codes, classes)
    single = TREES.fit(examples, None, job.child("trees"))
    return {"single fit": Blend((Member(VIEW, 1.0, single),))}


def _matrix(featurize: Featurize, names: Sequence[str]) -> FloatArray:
    request = Columns({NAME: np.array(names, dtype=object)})
    matrix: FloatArray = featurize.many(request, {}, None)[matrix_column(VIEW)]
    return matrix


def _examples(matrix: FloatArray, codes: IntArray, classes: tuple[str, ...]) -> Examples:
    return Examples(Columns({MATRIX: matrix}), codes, Class(classes))
