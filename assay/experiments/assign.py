"""Assign entities to the arms of an experiment: by a hash, so that each is drawn alike everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from assay.experiments.assignments import Assignments
from assay.project.experiments import Experiment

Reason = Literal["not_started", "ended", "outside_group", "arm_removed"]


@dataclass(frozen=True)
class Assigned:
    """The arm of an entity, with the weights by which it was drawn; or why it has none."""

    arm: str | None
    weights: Mapping[str, float]
    reason: Reason | None = None


def assign(experiment: Experiment, entity_id: str, assignments: Assignments, at: datetime) -> Assigned:
    """Return the arm of an entity, and remember it: whatever weights become, an entity keeps its arm.

    Args:
        experiment: as it is declared now.
        entity_id: the entity's id, as callers send it.
        assignments: what is remembered of earlier calls.
        at: when it is asked (UTC).

    Raises:
        sqlite3.Error: what is remembered cannot be read or written.
    """
    if at < experiment.start:
        return Assigned(None, {}, "not_started")
    if at >= experiment.end:
        return Assigned(None, {}, "ended")
    remembered = assignments.find(experiment, entity_id)
    if remembered is None:
        group = experiment.group
        if group and not group.start <= place_of(f"group:{group.name}", entity_id) < group.end:
            return Assigned(None, {}, "outside_group")
        arm = drawn_arm(experiment, entity_id)
        # Another worker may have remembered it meanwhile, before weights were changed.
        remembered = assignments.keep(experiment, entity_id, arm, experiment.arms)
    arm, weights = remembered
    return Assigned(arm, weights) if arm in experiment.arms else Assigned(None, {}, "arm_removed")


def drawn_arm(experiment: Experiment, entity_id: str) -> str:
    """Return the arm that the hash draws for an entity, by the weights of now."""
    place = place_of(experiment.salt, entity_id) * sum(experiment.arms.values())
    weighted = [(arm, weight) for arm, weight in experiment.arms.items() if weight > 0]
    for arm, weight in weighted:
        place -= weight
        if place < 0:
            return arm
    # Subtracting leaves a rest in the last bits.
    return weighted[-1][0]


def place_of(salt: str, entity_id: str) -> float:
    """Return the place of an entity, from 0 (inclusive) to 1, of SHA-256 of `salt:id`.

    It is its first 13 hexadecimal digits: so many fit into a double without rounding.
    """
    return int(hashlib.sha256(f"{salt}:{entity_id}".encode()).hexdigest()[:13], 16) / (1 << 52)
