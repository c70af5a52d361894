"""`assay view add`, `label add`, `training-set add`: what each writes, what it refuses, and that it works."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from small_project import SmallProject

from assay.cli.arguments import split_features, split_measures
from assay.core.fault import Fault
from assay.generate.gold import plan_existing
from assay.generate.label import Happening, Settled, Spine, add_label, write_label_sql
from assay.generate.label import _model as label_model
from assay.generate.propose import Choice
from assay.generate.scramble import write_scramble_sql
from assay.generate.training_set import _taken, _told_apart, write_training_set_sql
from assay.generate.view import ViewSpec, _checked_windows, _known_entity, _measures, _names, _other_keys
from assay.generate.view import _model as view_model
from assay.init.project import init_project
from assay.project import packages
from assay.project.views import FeatureView

VISITS = {
    "visit_id": "varchar",
    "patient_id": "varchar",
    "kind": "varchar",
    "fee": "decimal(18, 2)",
    "weight": "double",
    "Total Cost": "integer",
    "event_at": "timestamp",
    "available_at": "timestamp",
}


PATIENT = Choice("patient", "")


def spec_of(measures: str, windows: str = "1h,7d", model: str = "slv_visits") -> ViewSpec:
    found = list(_measures(split_measures(measures), VISITS, model))
    return ViewSpec(model, ["patient_id"], "event_at", "available_at", found, windows.split(","))


def test_a_view_is_one_call_of_windowed_history() -> None:
    assert spec_of("fee:sum,avg; *:count").sql == (
        "{{ assay.windowed_history(\n"
        "    ref('slv_visits'),\n"
        "    entity_keys=['patient_id'],\n"
        "    event_at='event_at',\n"
        "    available_at='available_at',\n"
        "    measures={\n"
        "        'fee': ['sum', 'avg'],\n"
        "        'visit': ['count'],\n"
        "    },\n"
        "    windows=['1h', '7d']\n"
        ") }}\n"
    )


MEASURES = {
    "of what names things, without _id": (
        "visit_id:distinct_count",
        "'visit': {'expression': 'visit_id', 'aggregates': ['distinct_count']}",
    ),
    "a column that is counted alone": (
        "kind:count",
        "'kind': {'expression': 'kind', 'aggregates': ['count']}",
    ),
    "floating-point numbers are summed exactly": (
        "weight:avg,max",
        "'weight': {'expression': 'weight::decimal(18, 6)', 'aggregates': ['avg', 'max']}",
    ),
    "a name that needs quotes": (
        "Total Cost:sum",
        "'total_cost': {'expression': '\"Total Cost\"', 'aggregates': ['sum']}",
    ),
}


@pytest.mark.parametrize("kind", MEASURES)
def test_a_measure_is_written_as_a_person_would(kind: str) -> None:
    measures, wanted = MEASURES[kind]
    assert f"        {wanted},\n" in spec_of(measures).sql


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ("Gebühr", "gebuehr"),
        ("Geb\u0075\u0308hr", "gebuehr"),
        ("GRÖßE", "groesse"),
        ("Év. à l'œuvre", "ev_a_l_oeuvre"),
    ],
)
def test_letters_beyond_ascii_are_written_out_in_names_of_features(column: str, wanted: str) -> None:
    (measure,) = _measures({column: ["sum"]}, {column: "integer"}, "slv_visits")
    assert (measure.name, measure.column) == (wanted, column)


REFUSED: dict[str, tuple[Any, str]] = {
    "no column": (lambda: spec_of("fees:sum"), "slv_visits has no such column: there are visit_id, "),
    "no aggregate": (lambda: spec_of("fee:total"), "fee:total is unknown: there are count, sum, avg,"),
    "no number": (lambda: spec_of("kind:avg"), "kind:avg needs a number, and kind is varchar. Of it there"),
    "rows summed": (lambda: spec_of("*:sum"), "rows can only be counted"),
    "no colon": (lambda: spec_of("fee"), "write a column and what is made of it, as amount:sum,avg"),
    "twice": (lambda: spec_of("fee:sum;fee:avg"), "fee stands twice"),
    "nothing between": (lambda: spec_of("fee:sum;;"), "name at least one, each once, with ';' in between"),
    "no window": (
        lambda: _checked_windows(["1w"]),
        "--windows 1w is unknown: write a whole number and s, m,",
    ),
    "a window twice": (lambda: _checked_windows(["1h", "1h"]), "name at least one, each once"),
    "no name": (lambda: _names("Visits", ["patient_id"]), "Visits' is no name"),
    "too long": (lambda: _names("v" * 60, ["patient_id"]), "at most 55 characters"),
    "no entity": (lambda: _names("ftr_visits", ["patient_id"]), "'ftr_visits' is no name of a view"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_is_refused_with_what_there_is(kind: str) -> None:
    asked, message = REFUSED[kind]
    with pytest.raises(Fault) as fault:
        asked()
    assert message in str(fault.value)
    assert fault.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "keys", "wanted"),
    [
        ("visits", ["patient_id"], ("ftr_patient__visits", "patient")),
        ("ftr_guest__stays", ["patient_id"], ("ftr_guest__stays", "guest")),
        ("readings", ["gerät_id"], ("ftr_geraet__readings", "geraet")),
        ("pairs", ["customer_id", "product_id"], ("ftr_customer_product__pairs", "customer_product")),
    ],
)
def test_a_view_is_named_by_its_entity(name: str, keys: list[str], wanted: tuple[str, str]) -> None:
    assert _names(name, keys) == wanted


def test_a_key_has_one_entity_although_a_view_has_another_name_for_it() -> None:
    meta = {"feature_view": {"entity": "patient", "keys": ["patient_id"]}}
    views = [FeatureView("ftr_patient__stays", "", meta["feature_view"], {}, "", [])]
    assert _known_entity(views, ["patient_id"]) == ("patient", "ftr_patient__stays")
    assert _known_entity(views, ["room_id"]) is None
    assert _names("visits", ["patient_id"], "person") == ("ftr_person__visits", "person")
    assert _names("ftr_guest__stays", ["patient_id"], "patient") == ("ftr_guest__stays", "patient")


def test_an_entity_that_a_view_knows_by_another_key_is_told_of() -> None:
    views = [FeatureView("ftr_card__entries", "", {"entity": "card", "keys": ["card_no"]}, {}, "", [])]
    [told] = _other_keys(views, "ftr_card__bookings", "card", ["karte"])
    assert "entity card has the key card_no in ftr_card__entries, and karte here." in told
    assert "assay view add ftr_<entity>__bookings" in told
    assert not list(_other_keys(views, "ftr_card__bookings", "card", ["card_no"]))
    assert not list(_other_keys(views, "ftr_pool__water", "pool", ["pool_id"]))
    # The view itself, where it is there already.
    assert not list(_other_keys(views, "ftr_card__entries", "card", ["karte"]))


def node_of(name: str, access: str = "public") -> Any:
    """Return as much of dbt's node as is looked at."""
    return SimpleNamespace(name=name, columns={}, access=access, config=SimpleNamespace(group="clinic"))


def test_values_of_personal_columns_stay_personal_and_a_private_model_keeps_its_group() -> None:
    spec = spec_of("kind:last,count,distinct_count", "all")
    events = node_of("slv_visits", access="private")
    personal = {"kind": "mask"}
    model = view_model("x__visits", PATIENT, spec, events, Choice("clinic", ""), personal, is_online=False)
    assert model.personal == {"kind_last_all": "mask"}
    assert model.entry["config"]["group"] == "clinic"
    public = view_model(
        "x__visits", PATIENT, spec, node_of("slv_visits"), Choice("clinic", ""), {}, is_online=True
    )
    assert "group" not in public.entry["config"]
    assert public.entry["config"]["meta"]["feature_view"] == {
        "entity": "patient",
        "keys": ["patient_id"],
        "owner": "clinic",
        "online": True,
        "defaults": {"kind_count_all": 0, "kind_distinct_count_all": 0},
    }


def test_an_outcome_and_an_id_made_of_personal_data_stay_personal() -> None:
    spine = Spine("slv_visits", ["patient_id"], "available_at")
    reads, shields = [node_of("slv_visits")], {"kind": "mask", "patient_id": "hash"}
    of = Settled("kind", "30d")
    label = label_model("lbl_x", "x_id", spine, of, reads, "clinic", shields)
    assert label.personal == {"x_id": "hash", "outcome": "mask"}
    assert label_model("lbl_x", "x_id", spine, of, reads, "clinic", {}).personal == {}


def test_a_model_that_is_there_stays_and_what_it_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events = node_of("slv_visits")
    events.unique_id = "model.clinic.slv_visits"
    spec = spec_of("fee:sum", "1d")
    wanted = view_model("ftr_patient__x", PATIENT, spec, events, Choice("clinic", ""), {}, is_online=True)
    there = SimpleNamespace(
        original_file_path="ftr_patient__x.sql",
        columns={"patient_id": None, "fee_sum_1d": None},
        depends_on=SimpleNamespace(nodes=["model.clinic.slv_visits"]),
        config=SimpleNamespace(meta={"feature_view": {"keys": ["patient_id"], "online": True}}),
    )
    project: Any = SimpleNamespace(named=lambda name: there)
    Path(there.original_file_path).write_text(wanted.sql)
    same = plan_existing(project, wanted)
    assert same is not None
    assert (same.files, len(same.evidence)) == ({}, 1)
    Path(there.original_file_path).write_text("-- mine\n" + wanted.sql)
    changed = plan_existing(project, wanted)
    assert changed is not None
    assert "Its SQL is not what would be written" in changed.evidence[1]
    there.config.meta["feature_view"]["online"] = False
    del there.columns["fee_sum_1d"]
    with pytest.raises(Fault, match="does not have the column fee_sum_1d, online: true"):
        plan_existing(project, wanted)


def happening(**changed: Any) -> str:
    what = {
        "model": "slv_visits",
        "keys": ["patient_id"],
        "at": "event_at",
        "window": "14d",
        "horizon": "15d",
        **changed,
    }
    return write_label_sql(
        "return_id", Spine("slv_visits", ["patient_id"], "available_at"), Happening(**what)
    )


def test_a_label_counts_what_happens_after_the_prediction_and_is_known_by_then() -> None:
    sql = happening(where="kind = 'lab' or fee > 10")
    assert "    from events\n    where (kind = 'lab' or fee > 10)" in sql
    for line in (
        "and known.prediction_at < outcomes.happened_at",
        "and known.prediction_at + interval '14 days' >= outcomes.happened_at",
        "and known.outcome_known_at >= outcomes.available_at",
        "prediction_at + interval '15 days' <= {{ assay.known_until('events') }}",
        "count(outcomes.happened_at) > 0 as outcome,",
    ):
        assert f" {line}\n" in sql
    assert "count(outcomes.happened_at) = 0 as outcome," in happening(is_absent=True)
    # One table is read once, two are told apart.
    assert "spine" not in sql
    assert "    from spine\n" in happening(model="slv_payments")


def test_the_outcomes_may_have_another_name_for_the_key() -> None:
    sql = happening(model="slv_payments", keys=["Paid by"])
    assert 'select\n        "Paid by" as patient_id,\n        event_at as happened_at,' in sql
    assert "known.patient_id = outcomes.patient_id\n" in sql
    assert " as patient_id" not in happening()


def test_a_prediction_is_not_asked_for_before_its_row_is_known() -> None:
    spine = Spine("slv_visits", ["visit_id", "patient_id"], "planned_at")
    sql = write_label_sql("late_id", spine, Settled("was_late", "2h"))
    assert "greatest(planned_at, available_at) as prediction_at," in sql
    assert "and planned_at is not null" in sql
    assert "prediction_at + interval '2 hours' <= {{ assay.known_until('spine') }}" in sql
    assert "concat_ws('@', visit_id, patient_id, prediction_at) as late_id," in sql


def test_outcomes_that_nobody_knows_yet_are_changed_and_no_others() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema landing")
        connection.execute(
            "create table landing.stays as from (values ('A', 'yes', '2026-01-01 10:00:00'), "
            "('B', 'no', ' 2026-01-20 10:00:00'), ('C', 'yes', '2026-01-21'), ('D', '', '2026-01-22'), "
            "('E', 'no', 'soon')) as stays (id, is_late, began)"
        )
        sql = write_scramble_sql("landing.stays", "is_late", "began", "interval '10 days'")
        connection.execute(sql.format(at="timestamp '2026-01-25'"))
        found = dict(connection.execute("select id, is_late from landing.stays").fetchall())
    assert found == {"A": "yes", "B": "yes", "C": "no", "D": "", "E": "no"}


ASKED: dict[str, Any] = {"spine": "slv_visits", "key": ["patient_id"]}
LABELS_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no outcome": ({}, "Say what the outcome is: --outcome-from MODEL --window 30d"),
    "two outcomes": ({"outcome": "fee", "outcome_from": "slv_visits"}, "Say what the outcome is"),
    "no window": ({"outcome_from": "slv_visits"}, "--outcome-from needs --window"),
    "not known": ({"outcome": "fee"}, "--outcome fee needs --known-after"),
    "a key too few": (
        {"key": ["a", "b"], "outcome_from": "slv_visits", "window": "1d", "outcome_key": ["a"]},
        "--outcome-key a: name a column for each of --key a,b, in its order",
    ),
    "a key of the other kind": (
        {"outcome": "fee", "known_after": "1d", "outcome_key": ["a"]},
        "--outcome-key, --outcome-at and --absent go with --outcome-from, not --outcome",
    ),
    "of the other kind": (
        {"outcome": "fee", "known_after": "1d", "absent": True},
        "go with --outcome-from, not --outcome",
    ),
    "no length": ({"outcome_from": "slv_visits", "window": "2w"}, "--window '2w' is no length of time"),
    "known too early": (
        {"outcome_from": "slv_visits", "window": "30d", "known_after": "29d"},
        "--known-after 29d is shorter than --window 30d",
    ),
}


@pytest.mark.parametrize("kind", LABELS_REFUSED)
def test_a_label_that_cannot_be_is_refused(kind: str) -> None:
    asked, message = LABELS_REFUSED[kind]
    with pytest.raises(Fault) as fault:
        add_label("returns", **{**ASKED, **asked})
    assert message in str(fault.value)


def test_features_of_the_same_name_are_told_apart() -> None:
    views = [
        FeatureView(
            name,
            "",
            {"keys": ["patient_id"], "entity": "patient"},
            {"patient_id": ("varchar", ""), "fee_sum_1h": ("bigint", "")},
            name,
            [],
        )
        for name in ("ftr_patient__visits", "ftr_patient__lab", "ftr_patient__stays")
    ]
    label = SimpleNamespace(name="lbl_x", columns={"patient_id": None, "outcome": None})
    taken = _told_apart([_taken(view, [], label, views) for view in views], label)
    assert [each.features for each in taken] == [["fee_sum_1h"], ["patient_fee_sum_1h"], ["stays_fee_sum_1h"]]
    with pytest.raises(Fault, match="has no such feature; views are parted by ; and not by a comma"):
        _taken(views[0], ["fee_sum_1h", "ftr_patient__lab"], label, views)


def test_a_view_whose_key_the_label_lacks_is_refused_with_what_to_do() -> None:
    by_card = FeatureView("ftr_card__entries", "", {"entity": "card", "keys": ["card_no"]}, {}, "", [])
    by_room = FeatureView("ftr_room__stays", "", {"entity": "room", "keys": ["room_id"]}, {}, "", [])
    label = SimpleNamespace(name="lbl_x", columns={"room_id": None})
    with pytest.raises(Fault) as fault:
        _taken(by_card, [], label, [by_card, by_room])
    said = str(fault.value)
    assert "it is known by card_no, and lbl_x has no card_no: it has room_id." in said
    assert "Views that it can take: ftr_room__stays." in said
    assert "write it with that in its --key" in said


def test_views_that_commas_part_are_told_to_be_parted_otherwise() -> None:
    assert split_features("ftr_a:x,y; ftr_b") == {"ftr_a": ["x", "y"], "ftr_b": []}
    for text in ("ftr_a,ftr_b", "ftr_a, ftr_b:x"):
        with pytest.raises(Fault, match=r"and ; parts views\. Write ftr_a;ftr_b, in quotes"):
            split_features(text)


def test_a_training_set_parts_its_rows_and_weighs_outcomes_of_yes_and_no() -> None:
    weighed = write_training_set_sql("lbl_x", [], [0.7], "15d", is_weighted=True)
    assert "[assay.share_of_time('spine', 'prediction_at', 0.7)],\n            '15d'\n" in weighed
    assert "as weight\n    from split_rows" in weighed
    assert "weight" not in write_training_set_sql("lbl_x", [], [0.6, 0.85], "15d", is_weighted=False)


def visits(path: Path) -> Path:
    """Write a clinic's visits: each patient comes again after two to forty days."""
    random = Random(3)
    rows = []
    for patient in range(40):
        at = datetime(2026, 1, 1) + timedelta(hours=random.randrange(240))
        while at < datetime(2026, 6, 1):
            known = at + timedelta(minutes=random.randrange(1, 600))
            kind = random.choice(["checkup", "surgery", "lab"])
            rows.append(f"P{patient:03},{kind},{random.randrange(9, 900)}.50,{at},{known}")
            at += timedelta(hours=random.randrange(48, 960))
    lines = [f"V{number},{row}" for number, row in enumerate(sorted(rows))]
    path.write_text("\n".join(["visit_id,patient_id,kind,fee,visited_at,recorded_at", *lines]) + "\n")
    return path


ADDED = (
    [
        *("view", "add", "visits", "--from", "slv_visits", "--entity", "patient_id", "--online"),
        *("--measures", "fee:sum,avg;*:count;kind:mode", "--windows", "30d,all"),
    ],
    [
        *("label", "add", "no_return", "--spine", "slv_visits", "--key", "patient_id", "--absent"),
        *("--outcome-from", "slv_visits", "--where", "kind <> 'lab'", "--window", "14d"),
    ],
    ["training-set", "add", "no_return", "--label", "lbl_no_return", "--features", "ftr_patient__visits"],
)


@pytest.fixture(autouse=True)
def _hub_is_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "hub_can_be_reached", lambda: False)


def files_of(project: SmallProject) -> dict[str, str]:
    folders = (project.root / "models", project.root / "contracts")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_text() for path in files}


def test_from_a_csv_to_a_trained_set_and_an_online_feature(builds: None, tmp_path: Path) -> None:
    init_project(tmp_path / "clinic")
    project = SmallProject(tmp_path / "clinic")
    # The continuous integration of a new project runs it.
    assert "There are no contracts" in project.assay("contracts", "check").stdout
    sample = str(visits(tmp_path / "visits.csv"))
    options = ("--key", "visit_id", "--event-at", "visited_at", "--available", "recorded_at", "--yes")
    assert project.assay("source", "add", "clinic.visits", sample, *options).exit_code == 0
    before = files_of(project)
    shown = project.assay(*ADDED[0], "--dry-run")
    assert "+  - name: ftr_patient__visits\n" in shown.stdout
    assert files_of(project) == before
    for command in ADDED:
        added = project.assay(*command)
        assert added.exit_code == 0, added.stderr
    again = project.assay(*ADDED[0])
    assert "is there already: nothing is written" in again.stdout
    other = project.assay(*ADDED[0], "--event-at", "kind")
    assert "--event-at kind: it is varchar, no time. Of times there are event_at, " in other.stderr

    built = project.assay("build")
    assert built.exit_code == 0, built.stdout + built.stderr
    checked = project.assay("contracts", "check")
    assert "No differences between contracts, dbt's YAML and the warehouse" in checked.stdout, checked.stdout
    assert "Online     40 entities" in built.stdout
    assert project.assay("training-set", "create", "trn_no_return").exit_code == 0
    verified = project.assay("training-set", "verify", "trn_no_return")
    assert verified.exit_code == 0, verified.stdout
    visited = Path(sample).read_text().count(",P007,")
    online = project.assay("online", "get", "--view", "ftr_patient__visits", "--key", "P007")
    assert re.search(rf"visit_count_all +{visited} +PRESENT", online.stdout), online.stdout
    assert "values are equal" in project.assay("parity", "--samples", "20").stdout
