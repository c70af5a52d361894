"""Experiments are read from their file, and everyone is drawn by a hash, once."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import scipy
from fastapi.testclient import TestClient
from feature_server import settings_in
from pydantic import ValidationError

from assay.core.fault import Fault
from assay.experiments.assign import assign, drawn_arm, place_of
from assay.experiments.assignments import FILE, Assignments
from assay.project.experiments import Experiment, Group, read_experiments
from assay.server.app import make_app
from assay.server.bodies import explain_invalid
from assay.server.keys import KeyRing
from assay.server.settings import Settings
from assay.server.shapes import AssignmentRequest

AT = datetime(2025, 6, 15)
DELIVERY = Experiment(
    name="delivery",
    entity="customer",
    arms={"control": 1, "free": 1},
    metrics=["orders"],
    start=datetime(2025, 6, 1),
    end=datetime(2025, 7, 1),
    attribution=timedelta(days=14),
    salt="delivery",
)
DECLARED = """
experiments:
  - name: delivery
    entity: customer
    arms: {control: 3, free: 1}
    metrics: [orders, revenue]
    start: 2025-06-01
    end: 2025-07-01T12:00:00+02:00
    attribution: 14d
"""


# --- the file -----------------------------------------------------------------------------------------------


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "experiments.yml"
    path.write_text(text)
    return read_experiments(path)


def test_a_project_without_the_file_has_no_experiments(tmp_path: Path) -> None:
    assert read_experiments(tmp_path / "experiments.yml").found == {}
    assert read(tmp_path, "# none yet\n").found == {}


def test_an_experiment_is_read_as_it_is_declared(tmp_path: Path) -> None:
    found = read(tmp_path, DECLARED)
    assert found.problems == []
    assert found.found["delivery"] == replace(
        DELIVERY,
        arms={"control": 3.0, "free": 1.0},
        metrics=["orders", "revenue"],
        end=datetime(2025, 7, 1, 10),
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("arms: {control: 3, free: 1}", "arms: {control: 1}", "delivery: arms: "),
        ("{control: 3, free: 1}", "{control: 0, free: 0}", "delivery: no arm has a weight above 0"),
        ("{control: 3, free: 1}", "{control: 3, free: -1}", "delivery: arms.free: -1 is less than"),
        ("free: 1", "'fr:ee': 1", "delivery: arms: 'fr:ee' is no name: write letters"),
        ("name: delivery", "name: 7", "experiment number 1: name: 7 is not of type 'string'"),
        (
            "entity: customer",
            "entities: customer",
            "'entities' was unexpected.*; there are name, enabled, desc",
        ),
        (
            "attribution: 14d",
            "attribution: 14 days",
            "delivery: attribution: '14 days' is no length of time: .* such as 14d",
        ),
        ("attribution: 14d", "attribution: 0d", "attribution 0d must be longer than 0s"),
        ("attribution: 14d", "attribution: 99999999999d", "delivery: attribution"),
        ("start: 2025-06-01", "start: June", "delivery: start June is no time"),
        ("start: 2025-06-01", "start: 2025-13-01", "delivery: start 2025-13-01 is no time"),
        ("start: 2025-06-01", "start: 2025-08-01", "it ends .* before it starts"),
        ("[orders, revenue]", "[]", "delivery: metrics: "),
        ("[orders, revenue]", "[orders]\n    alpha: 1.5", "delivery: alpha: 1.5 is greater"),
        (
            "[orders, revenue]",
            "[orders]\n    group: {name: g, from: 0.5, to: 0.5}",
            "its part of the group g",
        ),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert before in DECLARED
    found = read(tmp_path, DECLARED.replace(before, after))
    assert found.found == {}
    [problem] = found.problems
    with pytest.raises(Fault, match=said):
        raise Fault(problem)


@pytest.mark.parametrize("text", ["experiments: {a: 1}", "[1]", "x: []", "experiments: [\n", "\x00"])
def test_a_file_without_a_list_of_experiments_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Fault, match=r"is no YAML|needs a list of experiments"):
        read(tmp_path, text)


def test_one_broken_experiment_leaves_the_others(tmp_path: Path) -> None:
    second = DECLARED.replace("experiments:\n", "")
    broken = second.replace("delivery", "broken").replace("14d", "soon")
    found = read(tmp_path, DECLARED + broken + second)
    assert list(found.found) == ["delivery"]
    assert [each.partition("experiments.yml")[2][:20] for each in found.problems] == [
        ": broken: attributio",
        " has two experiments",
    ]


def test_experiments_that_overlap_in_their_group_are_refused(tmp_path: Path) -> None:
    def grouped(name: str, start: float, end: float, since: str = "2025-06-01") -> str:
        group = f"    group: {{name: checkout, from: {start}, to: {end}}}\n"
        return (DECLARED.replace("experiments:\n", "").replace("2025-06-01", since) + group).replace(
            "delivery", name
        )

    apart = "experiments:\n" + grouped("a", 0, 0.5) + grouped("b", 0.5, 1)
    assert list(read(tmp_path, apart).found) == ["a", "b"]
    overlapping = read(tmp_path, apart + grouped("c", 0.4, 0.5))
    assert list(overlapping.found) == ["b"]
    assert "a and c: they overlap in the group checkout" in overlapping.problems[0]
    later = grouped("c", 0, 1, "2025-07-02").replace("2025-07-01T12:00:00+02:00", "2025-08-01")
    assert list(read(tmp_path, apart + later).found) == ["a", "b", "c"]


# --- assignment ---------------------------------------------------------------------------------------------


def test_arms_are_drawn_in_the_shares_of_their_weights() -> None:
    experiment = replace(DELIVERY, arms={"a": 2, "none": 0, "b": 1, "c": 1})
    counts = Counter(drawn_arm(experiment, f"customer {number}") for number in range(20_000))
    assert set(counts) == {"a", "b", "c"}
    found = scipy.stats.chisquare([counts["a"], counts["b"], counts["c"]], [10_000, 5_000, 5_000])
    assert found.pvalue > 0.001


def test_two_experiments_are_drawn_independently() -> None:
    other = replace(DELIVERY, salt="another")
    ids = [str(number) for number in range(20_000)]
    counts = Counter((drawn_arm(DELIVERY, each), drawn_arm(other, each)) for each in ids)
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 0.001
    assert len(counts) == 4


def test_the_hash_is_one_that_sql_can_repeat() -> None:
    [(found,)] = duckdb.sql(
        "select ('0x' || sha256('delivery:' || 'c' || 'ü')[:13])::bigint / 4503599627370496"
    ).fetchall()
    assert place_of("delivery", "cü") == found


def test_a_changed_weight_moves_nobody_who_was_assigned(tmp_path: Path) -> None:
    ids = [str(number) for number in range(300)]
    assignments = Assignments(tmp_path)
    before = {each: assign(DELIVERY, each, assignments, AT) for each in ids}
    assignments.close()
    changed = replace(DELIVERY, arms={"control": 0.0, "free": 1.0})
    # Another process, after a restart.
    after = Assignments(tmp_path)
    assert {each: assign(changed, each, after, AT) for each in ids} == before
    assert {found.arm for found in before.values()} == {"control", "free"}
    # Of the weights it was drawn by, not those of now.
    assert {tuple(found.weights.values()) for found in before.values()} == {(1, 1)}
    assert {assign(changed, f"new {each}", after, AT).arm for each in ids} == {"free"}
    # Another salt is another draw.
    redrawn = replace(changed, salt="delivery-2")
    assert {assign(redrawn, each, after, AT).arm for each in ids} == {"free"}


def test_nobody_takes_part_before_the_start_after_the_end_or_outside_the_group(tmp_path: Path) -> None:
    assignments = Assignments(tmp_path)
    assert assign(DELIVERY, "1", assignments, datetime(2025, 5, 31)).reason == "not_started"
    assert assign(DELIVERY, "1", assignments, datetime(2025, 7, 1)).reason == "ended"
    assert not (tmp_path / FILE).exists()
    parts = [
        replace(DELIVERY, name=name, salt=name, group=Group("g", *part))
        for name, part in (("one", (0, 0.3)), ("two", (0.3, 1)))
    ]
    ids = [str(number) for number in range(1000)]
    takes_part = [[assign(part, each, assignments, AT).arm is not None for each in ids] for part in parts]
    assert all(one != two for one, two in zip(*takes_part, strict=True))
    assert 250 < sum(takes_part[0]) < 350


def test_an_arm_that_is_no_longer_declared_is_not_told(tmp_path: Path) -> None:
    assignments = Assignments(tmp_path)
    arm = assign(DELIVERY, "1", assignments, AT).arm
    others = replace(DELIVERY, arms={f"not {arm}": 1.0, "b": 1.0})
    assert assign(others, "1", assignments, AT).reason == "arm_removed"


def test_workers_that_draw_at_once_agree(tmp_path: Path) -> None:
    """Workers with different files: the first that remembers decides for all."""
    found: dict[int, list[str | None]] = {}
    together = threading.Barrier(8)

    def ask(number: int) -> None:
        experiment = replace(DELIVERY, arms={f"arm {arm}": float(arm == number) for arm in range(8)})
        assignments = Assignments(tmp_path)
        together.wait()
        found[number] = [assign(experiment, str(each), assignments, AT).arm for each in range(20)]

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert [len(set(arms)) for arms in zip(*found.values(), strict=True)] == [1] * 20


def test_what_is_remembered_names_nobody(tmp_path: Path) -> None:
    assignments = Assignments(tmp_path)
    assign(DELIVERY, "ada.lovelace@example.org", assignments, AT)
    assignments.close()
    assert b"lovelace" not in (tmp_path / FILE).read_bytes()
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


# --- the server ---------------------------------------------------------------------------------------------

ASSIGN = "/experiments/delivery/assign"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = settings_in(tmp_path, f"sqlite:{tmp_path / 'online.sqlite'}")
    started, ends = (f"{datetime.now() + timedelta(days=days):%Y-%m-%d}" for days in (-9, 9))
    found.experiments.write_text(
        DECLARED.replace("2025-06-01", started).replace("2025-07-01T12:00:00+02:00", ends)
    )
    return found


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(settings)) as client:
        yield client


def landed(settings: Settings) -> list[dict[str, Any]]:
    folder = settings.landing / "serving" / "exposures"
    return [
        json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]


def test_exposures_land_as_they_were_answered(settings: Settings) -> None:
    with TestClient(make_app(settings)) as client:
        first = client.post(ASSIGN, json={"entity_id": "c1", "exposure_id": "e1"}).json()
        assert first == {
            "experiment": "delivery",
            "entity_id": "c1",
            "arm": first["arm"],
            "reason": None,
            "exposure_id": "e1",
        }
        quiet = client.post(ASSIGN, json={"entity_id": 7, "exposed": False}).json()
        assert (quiet["entity_id"], quiet["exposure_id"]) == ("7", None)
        again = client.post(ASSIGN, json={"entity_id": "c1"}).json()
        assert again["arm"] == first["arm"]
        assert again["exposure_id"] not in (None, "e1")
    # The server has stopped, and so what it was told has landed.
    assert [
        path.name.partition("-")[0] for path in (settings.landing / "serving" / "exposures").iterdir()
    ] == ["exposures"]
    exposures = landed(settings)
    assert [each["exposure_id"] for each in exposures] == ["e1", again["exposure_id"]]
    assert exposures[0]["weights"] == {"control": 3, "free": 1}
    assert exposures[0]["exposed_at"] < exposures[0]["received_at"]
    assert {name: exposures[0][name] for name in ("experiment", "salt", "entity", "entity_id", "arm")} == {
        "experiment": "delivery",
        "salt": "delivery",
        "entity": "customer",
        "entity_id": "c1",
        "arm": first["arm"],
    }


@pytest.mark.parametrize(
    "body",
    [{}, {"entity_id": ""}, {"entity_id": 1.5}, {"entity_id": None}, {"entity_id": "1", "arm": "free"}],
)
def test_a_request_that_names_nobody_is_refused(client: TestClient, settings: Settings, body: Any) -> None:
    assert client.post(ASSIGN, json=body).status_code == 422
    assert landed(settings) == []


def test_the_file_of_experiments_may_change_while_the_server_runs(
    client: TestClient, settings: Settings
) -> None:
    answer = client.post("/experiments/returns/assign", json={"entity_id": "1"})
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "There is no experiment returns: there are delivery.",
    )
    text = settings.experiments.read_text()
    settings.experiments.write_text(text + text.replace("experiments:\n", "").replace("delivery", "returns"))
    assert client.post("/experiments/returns/assign", json={"entity_id": "1"}).status_code == 200
    settings.experiments.write_text(text.replace("control: 3", "control: many"))
    broken = client.post(ASSIGN, json={"entity_id": "1"})
    assert (broken.status_code, broken.json()["detail"]) == (
        503,
        "The server cannot answer now: its log says why.",
    )
    settings.experiments.unlink()
    assert client.post(ASSIGN, json={"entity_id": "1"}).status_code == 404


def test_a_key_assigns_to_its_experiments_alone(settings: Settings) -> None:
    keys = KeyRing(settings.folder)
    shop = keys.create("shop", [], None, experiments=["delivery"])
    scorer = keys.create("scorer", ["*"], None, ["*"])
    with TestClient(make_app(replace(settings, with_keys=True))) as client:
        statuses = [
            client.post(ASSIGN, json={"entity_id": "1"}, headers=headers).status_code
            for headers in ({"X-API-Key": shop}, {"X-API-Key": scorer}, {})
        ]
        other = client.post("/experiments/x/assign", json={"entity_id": "1"}, headers={"X-API-Key": shop})
    assert statuses == [200, 403, 401]
    assert other.json()["detail"] == "This API key is not for the experiment x."
    assert len(landed(settings)) == 1


def test_what_cannot_be_remembered_is_not_answered(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Assignments, "keep", refuse)
    answer = client.post(ASSIGN, json={"entity_id": "1"})
    assert (answer.status_code, answer.json()["detail"]) == (
        507,
        "What was asked cannot be kept, so no arm is told: send it again later.",
    )
    assert landed(settings) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"entity_id": None}, "entity_id: it should be a text or a whole number. A request holds entity_id"),
        ({"entity_id": 1.5}, "entity_id: it should be a text or a whole number."),
        ({"entity_id": ""}, "entity_id: String should have at least 1 character."),
        ({}, "entity_id: Field required."),
        ({"entity_ids": "1"}, "entity_ids: it is unknown. A request holds entity_id, exposed"),
        ({"entity_id": "1", "exposd": False}, "exposd: it is unknown."),
    ],
)
def test_a_request_that_is_written_wrong_is_refused_in_words_of_its_own(body: Any, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AssignmentRequest.model_validate(body)
    assert explain_invalid(refused.value, AssignmentRequest).startswith(said)
