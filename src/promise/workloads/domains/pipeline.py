"""The domains workload: names of hosts → an app, a category, or `unknown`."""

from __future__ import annotations

from promise.pipeline.order import Workload
from promise.workloads.domains.evaluate import more_metrics
from promise.workloads.domains.one import one_name
from promise.workloads.domains.presets import PRESETS
from promise.workloads.domains.task import NAME_OF_WORKLOAD
from promise.workloads.domains.train import train_names
from promise.workloads.domains.update import restored

WORKLOAD = Workload(
    name=NAME_OF_WORKLOAD,
    summary="a domain name → an app, a category, or unknown",
    presets=("default", *PRESETS),
    train=train_names,
    cache_s=3600.0,
    options={
        "rules": "a file of suffix rules: an ending and its class on each line",
        "background": "a file of names that belong to no class, one a line",
        "unknown_share": "share of unknown names among those asked, with background (default 0.8)",
        "reject": "share of known names that may be answered unknown (default 0.08)",
        "company": "the column of what each class belongs to",
        "category": "the column of what companies or classes belong to",
    },
    paths=("rules", "background"),
    by_content=True,
    restored=restored,
    one=one_name,
    measure=more_metrics,
)
