"""What differs online is told by view, and only a comparison ends it."""

from __future__ import annotations

from assay.alerts.findings import Looked, find_answered_parity, find_files, find_streamed_parity
from assay.ledger.account import TroubledFiles
from assay.online.ahead import StreamParity
from assay.parity.compare import FeatureParity


def told(looked: Looked) -> tuple[list[tuple[str, str, str]], list[str]]:
    alerts, names = looked
    return [(each.name, each.about, each.message) for each in alerts], sorted(name for _, name in names)


def streamed(view: str, run_id: str, compared: int, differing: int, skipped: int = 0) -> StreamParity:
    return StreamParity(view, run_id, compared, differing, skipped, None, "2026-11-27T00:00:00")


def test_the_last_comparison_of_a_view_counts() -> None:
    differed, well = streamed("ftr_a", "r1", 9, 2), streamed("ftr_b", "r1", 9, 0)
    said = [("ftr_a (streamed)", "ftr_a", "2 of 9 entities differ from what run r1 made")]
    names = ["ftr_a (streamed)", "ftr_b (streamed)"]
    assert told(find_streamed_parity([differed, well])) == (said, names)
    # What could not be compared leaves it as it was.
    assert told(find_streamed_parity([differed, well, streamed("ftr_a", "r2", 0, 0, 5)])) == (said, names)
    assert told(find_streamed_parity([differed, streamed("ftr_a", "r2", 3, 0)])) == ([], ["ftr_a (streamed)"])
    assert told(find_streamed_parity([streamed("ftr_a", "r2", 0, 0, 5)])) == ([], [])


def test_features_that_differ_are_named_by_view() -> None:
    found = [
        FeatureParity("ftr_a", "x", 3, mismatched=1),
        FeatureParity("ftr_a", "y", 3),
        FeatureParity("ftr_a", "z", 3, missing=1),
        FeatureParity("ftr_b", "x", 3),
    ]
    said = [("ftr_a (logged)", "ftr_a", "x and z differ from the offline join")]
    assert told(find_answered_parity(found, logged=True)) == (said, ["ftr_a (logged)", "ftr_b (logged)"])
    assert told(find_answered_parity(found[3:], logged=False)) == ([], ["ftr_b"])


def test_files_that_are_not_loaded_are_told_by_table_without_what_is_in_them() -> None:
    files = [
        TroubledFiles("shop/clicks/a.csv", "failed", "Cannot be read.", 2),
        TroubledFiles("a.csv", "unknown_table", "Lies in no folder of a table.", 1),
        TroubledFiles("shop/clicks/b.csv", "failed", "Lacks the column id.", 1),
    ]
    assert [(each.name, each.message) for each in find_files(files)] == [
        ("a.csv", "not loaded: 1 file: a.csv: Lies in no folder of a table"),
        (
            "shop.clicks",
            "not loaded: 3 files: shop/clicks/a.csv and 1 more: Cannot be read; "
            "shop/clicks/b.csv: Lacks the column id",
        ),
    ]
