"""Sentences about one export: who won, on what evidence, and what the files do."""

from __future__ import annotations

import textwrap

from promise.data.answer import Number
from promise.discovery.export.plan import ExportPlan, defined

UNDEFINED = "undefined"
LABELS = {
    "baseline": "the trivial baseline",
    "linear": "a linear model",
    "decision_tree": "a decision tree",
    "random_forest": "a forest",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "mlp": "a neural network",
    "lstm": "an LSTM",
}


def winner(plan: ExportPlan) -> str:
    """Name the winner: one family, or the blend with its shares."""
    if len(plan.members) == 1:
        return LABELS.get(plan.members[0].family, plan.members[0].family)
    shares: dict[str, float] = {}
    for member in plan.members:
        label = LABELS.get(member.family, member.family)
        shares[label] = shares.get(label, 0.0) + member.weight
    if len(shares) == 1:
        return f"a blend of {len(plan.members)} × {next(iter(shares))}"
    listed = [f"{label} ({share:.0%})" for label, share in shares.items()]
    return f"a blend of {', '.join(listed[:-1])} and {listed[-1]}"


def interval(plan: ExportPlan) -> str:
    """Return the score with its interval, rounded to be read."""
    score = defined(plan.score)
    if score is None:
        return UNDEFINED
    low, high = map(defined, plan.ci or (None, None))
    if low is None or high is None:
        return f"{score:.4g} (95 % interval {UNDEFINED})" if plan.ci else f"{score:.4g}"
    return f"{score:.4g} (95 % interval {low:.4g} to {high:.4g})"


def question(plan: ExportPlan) -> str:
    """Say what the model answers."""
    if isinstance(plan.answer, Number):
        return f"how much `{plan.target}` is"
    if len(plan.classes) <= 6:
        return f"`{plan.target}`: one of {', '.join(plan.classes)}"
    return f"`{plan.target}`: one of {len(plan.classes)} classes"


def wrapped(text: str, width: int = 98) -> str:
    """Wrap a paragraph of a docstring, without what would end it or mean something else.

    Examples
    --------
    >>> wrapped("by `a\\\\b`")
    'by `a/b`'
    """
    plain = "".join(c if c.isprintable() else " " for c in text)
    return "\n".join(textwrap.wrap(plain.replace("\\", "/").replace('"""', "'''"), width))


def prose(plan: ExportPlan) -> dict[str, str]:
    """Return the sentences that the code templates ask for."""
    kinds: dict[str, int] = {}
    for field in plan.inputs:
        kinds[str(field["type"])] = kinds.get(str(field["type"]), 0) + 1
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    out = "The column `prediction` holds the answer"
    if len(plan.classes) > 100:
        out += "; top_1_class, top_1_probability and so on the five likeliest."
    elif plan.classes:
        out += "; `probability_<class>` each class's probability."
    else:
        out += "."
    return {
        "features_title": "The table as the model reads it: raw cells, typed columns, matrices.",
        "features_summary": wrapped(
            f"Written for {plan.source_name}: {len(plan.inputs)} input columns ({counted}) "
            f"and the target `{plan.target}`."
        ),
        "model_title": f"The model: {winner(plan)}.",
        "model_summary": wrapped(
            f"It answers {question(plan)}. On {len(plan.holdout_rows):,} sealed holdout rows its "
            f"{plan.metric} is {interval(plan)}; `evaluate.py` repeats that to the last digit."
        ),
        "holdout_summary": wrapped(
            f"The holdout ({len(plan.holdout_rows):,} rows: {plan.split_sentence.rstrip('.')}) was "
            "never learned from nor chosen by. artifacts/holdout.npz holds its row numbers, and a "
            "digest of each row, so that a changed or reordered file is told apart."
        ),
        "out_columns": out,
        "output_words": "each row's probabilities, one column per class"
        if plan.classes
        else "one number per row",
    }
