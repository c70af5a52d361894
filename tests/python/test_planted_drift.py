"""What is planted in the demo is found, where and when it is planted, and nothing in a demo without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from warehouse import Warehouse

from example import generate
from example.drift import LONGER_VISITS, PLANTED, Planted

#: Of verdicts on a demo in which nothing is planted, how many may be `drift`.
FALSE_ALARMS = 0.005
Verdicts = dict[tuple[str, str, str], str]


def built(folder: Path, *, drift: bool) -> tuple[Warehouse, dict[str, Any]]:
    """Build the features of a year, and what monitors them."""
    manifest = generate(folder / "landing", customers=600, days=365, events=30_000, seed=1, drift=drift)
    warehouse = Warehouse(folder, folder / "landing")
    kinds = ("--resource-type", "model", "snapshot", "seed")
    warehouse.build("--select", "+mon_feature_drift", *kinds)
    return warehouse, manifest


def verdicts(warehouse: Warehouse) -> Verdicts:
    """Verdicts by feature, month and reference; those alone that say something."""
    rows = warehouse.query(
        """select view || '.' || feature, "window", reference, verdict from gold.mon_feature_drift """
        "where verdict in ('drift', 'watch', 'volume', 'stable')"
    )
    return {(feature, month, reference): verdict for feature, month, reference, verdict in rows}


@pytest.fixture(scope="module")
def planted(builds: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, dict[str, Any]]:
    return built(tmp_path_factory.mktemp("planted"), drift=True)


@pytest.fixture(scope="module")
def plain(builds: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, dict[str, Any]]:
    return built(tmp_path_factory.mktemp("plain"), drift=False)


def begins(manifest: dict[str, Any], *changes: Planted) -> str:
    """The month in which the first of some changes begins."""
    return min(
        each["from"][:7] for each in manifest["drift"] if each["name"] in {one.name for one in changes}
    )


@pytest.mark.parametrize("change", PLANTED, ids=lambda each: each.name)
def test_what_is_planted_is_found(change: Planted, planted: tuple[Warehouse, dict[str, Any]]) -> None:
    warehouse, manifest = planted
    [last] = [each["to"][:7] for each in manifest["drift"] if each["name"] == change.name]
    of_same_table = [each for each in PLANTED if each.table == change.table]
    for feature in change.features:
        drifting = {
            month
            for (found, month, _), verdict in verdicts(warehouse).items()
            if found == feature and verdict == "drift"
        }
        assert {month for month in drifting if begins(manifest, change) <= month <= last}, feature
        assert {month for month in drifting if month < begins(manifest, *of_same_table)} == set(), feature
        # What comes slowly is seen once it is large.
        assert begins(manifest, change) in drifting or change is LONGER_VISITS


def test_where_nothing_is_planted_nothing_is_found(
    planted: tuple[Warehouse, dict[str, Any]], plain: tuple[Warehouse, dict[str, Any]]
) -> None:
    said = verdicts(plain[0])
    assert plain[1]["drift"] == []
    assert len(said) > 700
    assert list(said.values()).count("drift") <= FALSE_ALARMS * len(said)
    # Nor in the other before it begins.
    first = begins(planted[1], *PLANTED)
    before = [verdict for (_, month, _), verdict in verdicts(planted[0]).items() if month < first]
    assert before
    assert "drift" not in before


def test_a_demo_is_the_same_until_something_is_planted(tmp_path: Path) -> None:
    landings = {is_planted: tmp_path / str(is_planted) for is_planted in (True, False)}
    manifests = {
        is_planted: generate(landing, customers=50, days=60, events=3000, drift=is_planted)
        for is_planted, landing in landings.items()
    }
    first = min(each["from"] for each in manifests[True]["drift"])
    for table in ("web/events", "payments/card_transactions"):
        files = {
            is_planted: {
                path.relative_to(landing): path.read_bytes() for path in landing.glob(f"{table}/*/*")
            }
            for is_planted, landing in landings.items()
        }
        differing = [path for path, content in files[True].items() if content != files[False].get(path)]
        # A file holds what happened before the day it landed on.
        assert differing
        assert min(path.parent.name.removeprefix("landed_at=") for path in differing) > first


def test_the_manifest_says_what_is_planted_and_when(planted: tuple[Warehouse, dict[str, Any]]) -> None:
    told = {each["name"]: (each["column"], each["from"], each["to"]) for each in planted[1]["drift"]}
    assert {change.name: change.column for change in PLANTED} == {name: told[name][0] for name in told}
    assert told["foreign_amounts"][1:] == ("2025-08-01", "2025-09-30")
    assert told["lost_products"][1:] == ("2025-10-01", "2025-10-31")
