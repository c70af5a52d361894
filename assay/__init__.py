"""Assay: a feature platform for machine learning, as a dbt project.

`import assay` loads nothing but this; what a name needs is loaded when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.api.charts import Plot
    from assay.api.client import AsyncClient, Client, FeatureRow, ServerFault
    from assay.api.contracts import compare_contracts
    from assay.api.frame import Frame
    from assay.api.history import History
    from assay.api.new_project import create_project
    from assay.api.online import Online, OnlineFeatures
    from assay.api.project import Project
    from assay.api.project import open_project as open
    from assay.api.training_set import TrainingSet
    from assay.core.fault import Fault

__all__ = [
    "AsyncClient",
    "Client",
    "Fault",
    "FeatureRow",
    "Frame",
    "History",
    "Online",
    "OnlineFeatures",
    "Plot",
    "Project",
    "ServerFault",
    "TrainingSet",
    "compare_contracts",
    "create_project",
    "open",
]

# Where each name comes from, as a module and what it is called there.
_HOMES = {
    "AsyncClient": ("assay.api.client", "AsyncClient"),
    "Client": ("assay.api.client", "Client"),
    "Fault": ("assay.core.fault", "Fault"),
    "FeatureRow": ("assay.api.client", "FeatureRow"),
    "Frame": ("assay.api.frame", "Frame"),
    "History": ("assay.api.history", "History"),
    "Online": ("assay.api.online", "Online"),
    "OnlineFeatures": ("assay.api.online", "OnlineFeatures"),
    "Plot": ("assay.api.charts", "Plot"),
    "Project": ("assay.api.project", "Project"),
    "ServerFault": ("assay.api.client", "ServerFault"),
    "TrainingSet": ("assay.api.training_set", "TrainingSet"),
    "compare_contracts": ("assay.api.contracts", "compare_contracts"),
    "create_project": ("assay.api.new_project", "create_project"),
    "open": ("assay.api.project", "open_project"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, inner = _HOMES[name]
    found = getattr(import_module(module), inner)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
