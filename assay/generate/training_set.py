"""`assay training-set add`: a training set of a label and of features as they were known, from one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.sql import folded, names_in
from assay.core.words import counted
from assay.features.columns import columns_of_queries, is_total
from assay.generate.gold import (
    GoldModel,
    GoldPlan,
    add_model,
    check_name,
    find_group,
    find_owner,
    quote_text,
    quote_texts,
    read_project,
)
from assay.project.conventions import LABEL_COLUMNS, TRAINING_SET
from assay.project.paths import own_models
from assay.project.personal import PII
from assay.project.project import Project
from assay.project.views import FeatureView, feature_views, view_named

_SPLITS = ("train", "validation", "test", "embargo")
USUAL_SPLIT = (0.6, 0.85)
_OWN = ("split", "weight")


@dataclass(frozen=True)
class Taken:
    """What is taken of a view: columns, derived features, and what their names begin with."""

    view: FeatureView
    columns: Sequence[str]
    derived: Sequence[str] = ()
    prefix: str = ""

    @property
    def features(self) -> list[str]:
        """Return the names of the features in the training set."""
        return [self.prefix + name for name in (*self.columns, *self.derived)]

    @property
    def sql(self) -> str:
        """Its entry in the call of `point_in_time_join`."""
        lines = [
            f"'view': {quote_text(self.view.name)},",
            f"'columns': {_wrapped(self.columns)},",
            *([f"'derived': {_wrapped(self.derived)},"] if self.derived else []),
            *([f"'prefix': {quote_text(self.prefix)},"] if self.prefix else []),
        ]
        return "        {\n" + "".join(f"            {each}\n" for each in lines) + "        },\n"


def add_training_set(
    name: str,
    *,
    label: str,
    features: Mapping[str, Sequence[str]],
    split: Sequence[float] = USUAL_SPLIT,
    dry_run: bool = False,
) -> GoldPlan:
    """Add a training set to the project in the current folder.

    Args:
        name: `trn_<what>`, or only what.
        label: the model with the outcomes.
        features: feature views by name, each with the columns and derived features to take; none means all.
        split: after which shares of the label's time parts end: training and test rows with one share, and
            validation rows in between with two.
        dry_run: whether nothing is written.

    Returns:
        What was written, or would be; no files where the training set is there already.

    Raises:
        Fault: something named is not there, or cannot be; nothing is written then.
    """
    name = check_name(name, TRAINING_SET, "renewal or trn_renewal")
    if len(split) not in (1, 2) or list(split) != sorted({*split}) or not all(0 < each < 1 for each in split):
        raise Fault(
            "--split: write one share of time between 0 and 1, for training and test rows, or two that "
            "ascend, as 0.6,0.85, with validation rows in between.",
            MISUSED,
        )
    project = read_project()
    outcomes = _label_named(project, label)
    views = feature_views(project)
    taken = _told_apart(
        [_taken(view_named(each, views), names, outcomes, views) for each, names in features.items()],
        outcomes,
    )
    reads = [outcomes, *(project.named(each.view.name) for each in taken)]
    key = next((each.columns for each in outcomes.constraints if each.type == "primary_key"), None)
    horizon = (outcomes.config.meta.get("label") or {}).get("horizon")
    if not key or not horizon:
        lacking = "meta.label.horizon" if key else "a primary_key among its constraints"
        raise Fault(f"--label {outcomes.name}: it declares no {lacking}: see docs/training-sets.md.", MISUSED)
    owner = find_owner(project, outcomes, None).value
    with columns_of_queries(project, name, reads) as columns_of:
        wanted = _model(name, outcomes, taken, list(key), horizon, split, reads, owner)
        return add_model(project, wanted, columns_of, dry_run=dry_run)


def _label_named(project: Project, name: str) -> Any:
    labels = {
        node.name: node
        for node in project.models
        if not node.name.startswith(TRAINING_SET) and set(LABEL_COLUMNS) <= node.columns.keys()
    }
    if name not in labels:
        raise Fault(
            unknown(f"--label {name}: it is no model with {', '.join(LABEL_COLUMNS)}", name, labels), MISUSED
        )
    return labels[name]


def _taken(view: FeatureView, names: Sequence[str], label: Any, views: Sequence[FeatureView]) -> Taken:
    if missing := [key for key in view.keys if key not in label.columns]:
        possible = [each.name for each in views if set(each.keys) <= label.columns.keys()]
        lacking = ", ".join(missing)
        raise Fault(
            f"--features {view.name}: it is known by {', '.join(view.keys)}, and {label.name} has no "
            f"{lacking}: it has {', '.join(each for each in label.columns)}. Views that it can "
            f"take: {', '.join(possible) or 'none'}. For this one, the label needs {lacking}: "
            "write it with that in its --key; or give the same key one name in silver, for label and view.",
            MISUSED,
        )
    derived = {each["name"]: each for each in view.declared.get("derived") or []}
    inputs = {each["name"] for each in view.declared.get("inputs") or []}
    # What a request brings comes from the label's row here.
    absent = inputs - label.columns.keys()
    possible = [each for each in derived if not _inputs_of(each, derived) & set(map(folded, absent))]
    for name in names:
        if name not in (*view.features, *derived):
            parted = "; views are parted by ; and not by a comma" * (name in [each.name for each in views])
            raise Fault(
                unknown(
                    f"--features {view.name}:{name}: it has no such feature{parted}",
                    name,
                    [*view.features, *derived],
                ),
                MISUSED,
            )
        if name in derived and name not in possible:
            raise Fault(
                f"--features {view.name}:{name}: it is made of {', '.join(sorted(absent))}, which a request "
                f"brings and {label.name} does not have.",
                MISUSED,
            )
    chosen = names or [*view.features, *possible]
    return Taken(
        view,
        [each for each in chosen if each not in derived],
        [each for each in chosen if each in derived],
    )


def _inputs_of(name: str, derived: Mapping[str, Any]) -> set[str]:
    """Return the names that a derived feature is made of, by way of others too."""
    used = names_in(str(derived[name]["expression"]))
    others = [each for each in derived if each != name and folded(each) in used]
    return used.union(*(_inputs_of(each, derived) for each in others))


def _told_apart(taken: Sequence[Taken], label: Any) -> list[Taken]:
    """Return what is taken with prefixes where names would be the same."""
    found: list[Taken] = []
    names = {*label.columns, *_OWN}
    for each in taken:
        view = each.view.name.removeprefix("ftr_")
        for prefix in (
            "",
            f"{view.split('__')[0]}_",
            f"{view.split('__')[-1]}_",
            f"{re.sub('_+', '_', view)}_",
        ):
            named = replace(each, prefix=prefix)
            if not names & set(named.features):
                break
        names |= set(named.features)
        found.append(named)
    return found


def _wrapped(names: Sequence[str]) -> str:
    """Return a list of names as Jinja has it, over lines where it is long."""
    on_one_line = quote_texts(names)
    if len(on_one_line) <= 80:
        return on_one_line
    lines, line = [], ""
    for each in (f"{quote_text(name)}," for name in names):
        if line and len(line) + len(each) > 90:
            lines.append(line)
            line = ""
        line = f"{line} {each}" if line else each
    return "[\n" + "".join(f"                {each}\n" for each in [*lines, line]) + "            ]"


def write_training_set_sql(
    label: str, taken: Sequence[Taken], split: Sequence[float], embargo: str, *, is_weighted: bool
) -> str:
    """Return the SQL of a training set."""
    shares = ", ".join(f"assay.share_of_time('spine', 'prediction_at', {share})" for share in split)
    parted = (
        "    select\n        *,\n"
        "        {{ assay.temporal_split(\n"
        "            'prediction_at',\n"
        f"            [{shares}],\n"
        f"            {quote_text(embargo)}\n"
        "        ) }} as split\n"
        "    from joined"
    )
    weighed = (
        "split_rows as (\n\n" + parted + "\n\n),\n\n"
        "final as (\n\n    select\n        split_rows.*,\n"
        "        {{ assay.balanced_weight('outcome', \"split = 'train'\") }} as weight\n"
        "    from split_rows\n\n)\n\n"
    )
    return (
        f"with spine as (\n\n    select * from {{{{ ref({quote_text(label)}) }}}}\n\n),\n\n"
        "joined as (\n\n    {{ assay.point_in_time_join('spine', 'prediction_at', [\n"
        + "".join(each.sql for each in taken)
        + "    ]) }}\n\n),\n\n"
        + (weighed if is_weighted else f"final as (\n\n{parted}\n\n)\n\n")
        + "select * from final\n"
    )


def _model(
    name: str,
    label: Any,
    taken: Sequence[Taken],
    key: Sequence[str],
    horizon: str,
    split: Sequence[float],
    reads: Sequence[Any],
    owner: str,
) -> GoldModel:
    is_weighted = str(label.columns["outcome"].data_type).lower() in ("boolean", "bool")
    own = _OWN if is_weighted else _OWN[:1]
    required = [
        each.name
        for each in label.columns.values()
        if each.name in key or any(constraint.type == "not_null" for constraint in each.constraints)
    ]
    descriptions: dict[str, str] = {}
    personal: dict[str, str] = {}
    for each in taken:
        derived = {one["name"]: one.get("description") for one in each.view.declared.get("derived") or []}
        entity = str(each.view.declared["entity"]).replace("_", " and ")
        for feature in (*each.columns, *each.derived):
            told = derived.get(feature) or each.view.columns.get(feature, ("", ""))[1]
            if each.prefix and told:
                told = f"Of the {entity}: {told[0].lower()}{told[1:]}"
            if told:
                descriptions[each.prefix + feature] = " ".join(told.split())
        # A default stands in where nothing is known of the entity.
        defaults = each.view.declared.get("defaults") or {}
        required += [each.prefix + one for one in each.columns if is_total(one) and one in defaults]
        personal |= {
            each.prefix + one: shield
            for one in each.columns
            if each.prefix and (shield := _shield(reads, each.view.name, one))
        }
    views = ", ".join(each.view.name for each in taken)
    return GoldModel(
        folder=own_models() / "gold" / "training",
        sql=write_training_set_sql(label.name, taken, split, horizon, is_weighted=is_weighted),
        entry={
            "name": name,
            "description": (
                f"Training set of {label.name}, with what was known of {views} when each outcome was asked "
                f"for. The embargo is as long as it takes to know an outcome, {horizon}."
            ),
            **({"config": group} if (group := find_group(label)) else {}),
            "constraints": [{"type": "primary_key", "columns": list(key)}],
            "data_tests": [
                {
                    "dbt_expectations.expect_table_row_count_to_equal_other_table": {
                        "name": f"{name}_has_a_row_for_each_label",
                        "arguments": {"compare_model": f"ref('{label.name}')"},
                    }
                }
            ],
            "columns": [
                {
                    "name": "split",
                    "description": "{{ doc('split') }}",
                    "constraints": [{"type": "not_null"}],
                    "data_tests": [
                        {
                            "dbt_expectations.expect_column_values_to_be_in_set": {
                                "name": f"{name}_rows_are_of_known_splits",
                                "arguments": {"value_set": list(_SPLITS)},
                            }
                        }
                    ],
                }
            ],
        },
        reads=reads,
        columns=[*label.columns, *(name for each in taken for name in each.features), *own],
        meta={},
        evidence=list(_evidence(label, taken, split, horizon, is_weighted=is_weighted)),
        product=f"{label.name.removeprefix('lbl_')}_training",
        owner=owner,
        descriptions=descriptions,
        personal=personal,
        required=required,
    )


def _shield(reads: Sequence[Any], view: str, column: str) -> str | None:
    node = next(each for each in reads if each.name == view)
    shield: str | None = node.columns[column].config.meta.get(PII) if column in node.columns else None
    return shield


def _evidence(
    label: Any, taken: Sequence[Taken], split: Sequence[float], horizon: str, *, is_weighted: bool
) -> Iterator[str]:
    yield f"A row for each of {label.name}, with features as they were known at prediction_at"
    for each in taken:
        as_named = f", their names begin with {each.prefix}" if each.prefix else ""
        count = counted(len(each.features), "feature")
        yield f"{each.view.name}, by {', '.join(each.view.keys)}: {count}{as_named}"
        left = [
            one["name"] for one in each.view.declared.get("derived") or [] if one["name"] not in each.derived
        ]
        if left and list(each.columns) == each.view.features:
            yield f"  left out, since {label.name} lacks what requests bring: {', '.join(left)}"
    parts = _SPLITS[:1] + _SPLITS[3 - len(split) : 3]
    yield f"Splits {', '.join(parts)} by time, at {' and '.join(f'{share}' for share in split)} of it"
    yield f"Embargo: {horizon}, as {label.name} says that outcomes are known so late"
    if is_weighted:
        yield "weight: outcomes of yes and no weigh the same in training rows"
