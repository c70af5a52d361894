"""A review of features and training sets: drift, scores of a model, personal data that nobody is shown."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from committed_project import GOLD, change, commit_all
from small_project import PROJECT, SmallProject

import assay
from assay.api.diff import Diff
from assay.diff.tables import Pair, TableDiff
from assay.diff.training import TrainingDiff, compare_training_sets

YAML = GOLD / "_training__models.yml"
CARD = "4000661710000181"
SCRIPT = """
import os
from dataclasses import dataclass

import duckdb


@dataclass
class Threads:
    count: int = int(os.environ["OMP_NUM_THREADS"])


def score_rows(rows):
    mean, = duckdb.sql(f"select avg(quantity) from read_parquet('{rows}')").fetchone()
    print("trained")
    return {"mean_quantity": mean, "threads": Threads().count}


def fail(rows):
    raise ValueError("no rows to\\nlearn from")


def end(rows):
    os._exit(9)


def end_once(rows):
    if "trn_1" in str(rows):
        os._exit(9)
    return score_rows(rows)


def leave(rows):
    raise SystemExit


def say_nothing(rows):
    return None
"""


# --- one review of all of it --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reviewed:
    """A review and its page; `lines` are the values of a personal column."""

    found: Diff
    page: str
    lines: list[str]
    project: SmallProject

    @property
    def shown(self) -> dict[str, str]:
        """All that people and programs are shown."""
        return {
            "page": self.page,
            "json": json.dumps(self.found.to_dict()),
            "console": repr(self.found),
        }


@pytest.fixture(scope="module")
def reviewed(built_training: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    """A change of what features are made of; it also forgets to say that a column is personal."""
    root = tmp_path_factory.mktemp("review") / "project"
    project = SmallProject(Path(shutil.copytree(built_training.root, root)))
    (root / "score.py").write_text(SCRIPT)
    change(
        project,
        "- name: trn_lines\n",
        "- name: trn_lines\n    config: {meta: {score_with: 'score.py:score_rows'}}\n",
        YAML,
    )
    personal = "{name: order_line_id, data_type: varchar, description: Hash of the line."
    change(project, personal, f"{personal[:-1]}, config: {{tags: [pii]}}", YAML)
    commit_all(project)
    change(project, ", config: {tags: [pii]}", "", YAML)
    change(project, "quantity,", "(quantity + (quantity > 3)::integer)::integer as quantity,")
    change(project, "order_line_id as line_id", f"'{CARD}' as line_id", GOLD / "trn_lists.sql")
    change(
        project,
        "{name: line_id, data_type: varchar}",
        "{name: line_id, data_type: varchar, config: {tags: [pii]}}",
        YAML,
    )
    lines = [line for (line,) in project.query("select order_line_id from gold.fct_lines order by all")]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment.items():
            patch.setenv(name, value)
        found = assay.open(root).diff("main", out=root / "diff.html")
        yield Reviewed(found, (root / "diff.html").read_text(), lines, project)


def test_nobody_is_shown_personal_data(reviewed: Reviewed) -> None:
    """Also where the change itself no longer says that a column is personal."""
    for where, text in reviewed.shown.items():
        assert not [line for line in [*reviewed.lines, CARD] if line in text], where
        found = set(re.findall(r"\*{4}([0-9a-f]{4})", text))
        assert found - {CARD[-4:]} <= {line[-4:] for line in reviewed.lines}, where
        assert len(found) > 5, where
        assert f'duplicate key "****{CARD[-4:]}' in text.replace("&#34;", '"').replace('\\"', '"'), where


def test_drift_counts_states_that_arrivals_opened(reviewed: Reviewed) -> None:
    """The first opened what later ones confirmed; no arrival opened a state in which a window expired."""
    [(states, opened, unconfirmed)] = reviewed.project.query(
        """
        select
            count(*),
            count(*) filter (coalesce(confirmed_at[1], updated_at) = valid_from),
            count(*) filter (updated_at = valid_from)
        from gold.ftr_product__lines
        """
    )
    assert unconfirmed < opened < states
    [view] = reviewed.found.review.drift
    assert view.view == "gold.ftr_product__lines"
    [feature] = view.features
    assert (feature.feature, feature.reference_rows, feature.current_rows) == (
        "quantity_max_7d",
        opened,
        opened,
    )
    mean = "select avg(quantity_max_7d) from gold.ftr_product__lines where {} = valid_from"
    assert reviewed.project.query(mean.format("coalesce(confirmed_at[1], updated_at)")) == [
        (pytest.approx(feature.reference_mean),)
    ]
    assert feature.current_mean > feature.reference_mean


def test_a_model_is_scored_on_both_sides(reviewed: Reviewed) -> None:
    [found] = reviewed.found.review.training
    assert found.bits_change
    assert found.scores_before == {"mean_quantity": pytest.approx(130 / 44), "threads": 1}
    assert found.scores_after == {"mean_quantity": pytest.approx(147 / 44), "threads": 1}
    for where, text in reviewed.shown.items():
        assert found.before in text, where
        assert found.after in text, where


# --- scores -------------------------------------------------------------------------------------------------


def scored(
    folder: Path, *score_with: str | None, key: list[str] | None = None, add: int = 1
) -> list[TrainingDiff]:
    """Compare training sets whose quantities differ, one for each function that scores."""
    (folder / "score.py").write_text(SCRIPT)
    with duckdb.connect() as connection:
        connection.execute("create schema before; create schema after")
        tables, nodes = [], {}
        for number, each in enumerate(score_with):
            name = f"trn_{number}"
            for side, more in (("before", 0), ("after", add)):
                connection.execute(
                    f"create table {side}.{name} as select range as id, range + {more} as quantity "
                    "from range(3)"
                )
            pair = Pair(
                name,
                name,
                ("memory", "before", name),
                ("memory", "after", name),
                ["id"] if key is None else key,
            )
            tables.append(TableDiff(pair, "changed", None, None, None))
            meta = {"score_with": each} if each else {}
            nodes[name] = SimpleNamespace(name=name, config=SimpleNamespace(meta=meta), resource_type="model")
        code: Any = SimpleNamespace(tables=nodes, root=folder)
        return compare_training_sets(connection, tables, code, folder)


def test_a_script_that_fails_is_told_and_stops_nothing(tmp_path: Path) -> None:
    functions = ("fail", "end", "leave", "say_nothing", "lacking", "score_rows")
    gone = tmp_path / "gone.py"
    found = scored(tmp_path, *(f"score.py:{name}" for name in functions), "gone.py:score", None)
    assert [each.note for each in found] == [
        "score.py:fail gives no scores: ValueError: no rows to learn from",
        "score.py:end gives no scores: exit code 9",
        "score.py:leave gives no scores: exit code 0",
        "score.py:say_nothing gives no scores: AttributeError: 'NoneType' object has no attribute 'items'",
        "score.py:lacking gives no scores: AttributeError: module 'score' has no attribute 'lacking'",
        "",
        f"gone.py:score gives no scores: FileNotFoundError: [Errno 2] No such file or directory: '{gone}'",
        "no score_with is declared, so no model is trained",
    ]
    assert [each.scores_before for each in found if each.scores_before] == [
        {"mean_quantity": 1, "threads": 1}
    ]
    assert all(each.bits_change for each in found)


def test_a_script_that_ends_itself_leaves_out_one_training_set(tmp_path: Path) -> None:
    found = scored(tmp_path, *["score.py:end_once"] * 3)
    assert [each.note for each in found] == ["", "score.py:end_once gives no scores: exit code 9", ""]
    assert [bool(each.scores_after) for each in found] == [True, False, True]


def test_the_same_bits_are_not_scored(tmp_path: Path) -> None:
    assert [(each.bits_change, each.note) for each in scored(tmp_path, "score.py:fail", add=0)] == [
        (False, "")
    ]


def test_a_training_set_without_a_key_is_told(tmp_path: Path) -> None:
    [found] = scored(tmp_path, "score.py:score_rows", key=[])
    assert found.note == "it declares no primary key, by which its rows are ordered"


@pytest.mark.usefixtures("builds")
def test_the_example_scores_the_same_rows_twice_the_same(tmp_path: Path) -> None:
    """The sides differ in what no model is trained on alone."""
    rows = """
        select
            range as transaction_id,
            timestamp '2025-01-01' + to_hours(range) as prediction_at,
            range % 97 as amount,
            range * 37 % 101 as noise,
            range % 97 > 80 as outcome,
            timestamp '2025-03-01' + to_days({}) as outcome_known_at,
            case when range < 1500 then 'train' else 'test' end as split,
            1.0 as weight
        from range(2000)
    """
    with duckdb.connect() as connection:
        for side, days in (("before", 0), ("after", 1)):
            connection.execute(f"create schema {side}; create table {side}.trn as {rows.format(days)}")
        pair = Pair("trn", "trn", ("memory", "before", "trn"), ("memory", "after", "trn"), ["transaction_id"])
        config = SimpleNamespace(meta={"score_with": "docs/examples/train.py:score_rows"})
        node = SimpleNamespace(name="trn_t", config=config, resource_type="model")
        code: Any = SimpleNamespace(tables={"trn": node}, root=PROJECT)
        [found] = compare_training_sets(
            connection, [TableDiff(pair, "changed", None, None, None)], code, tmp_path
        )
    assert (found.bits_change, found.note) == (True, "")
    assert found.scores_before == found.scores_after
    assert found.scores_before["roc_auc"] > 0.99
