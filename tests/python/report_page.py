"""A small project whose report has something in every section, and the page as a reader has it."""

from __future__ import annotations

from contextlib import chdir
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

from small_project import HEADER, MOST_PIECES, SmallProject, make_small_project

from assay.core.places import find_places
from assay.project.warehouse import connect
from assay.training.store import Split, VersionManifest, VersionStore, name_version, write_version

HOSTILE = "<img src=x onerror=alert(1)>"
SILENT_FOR = 3 * 86_400
LAST_DAY = date(2025, 3, 31)
VERSION = name_version("trn_fraud", "d4457ccfc03e0000")

_FRESHNESS = """
{{ config(contract={'enforced': false}) }}
{{ arrival_freshness({'erp.order_lines': ref('slv_order_lines__checked')}, {'erp.order_lines': '4d'}) }}
"""
_VOID = {"meta", "link", "br", "img", "input"}


def make_broken_project(root: Path) -> SmallProject:
    """Built once well, and once with lines that fail a test whose owner has a hostile name."""
    project = make_small_project(root)
    gold = root / "models" / "own" / "gold"
    models = gold / "_gold__models.yml"
    owned = f"    config:\n      meta: {{owner: '{HOSTILE}'}}\n"
    models.write_text(models.read_text().replace("    config:\n", owned, 1))
    (gold / "mon_freshness.sql").write_text(_FRESHNESS)
    assert project.assay("build").exit_code == 0
    project.land(4, *(MOST_PIECES + number for number in range(1, 31)))
    hostile = project.land(5, name="hostile.csv")
    lines = [f"05{n},{HOSTILE},a thing,none,2025-01-04 08:00:00,1.50,7,France\n" for n in range(5)]
    hostile.write_text(HEADER + "".join(lines))
    assert project.assay("build").exit_code == 1
    return project


def fill_monitors(project: SmallProject) -> None:
    """Write what the monitors of gold would, of a shop where something is wrong everywhere."""
    days = [LAST_DAY - timedelta(days) for days in range(90)]
    volumes = [(HOSTILE, day, 40 + day.weekday(), 42.0, "usual") for day in days[1:]]
    features = [("ftr_card__velocity", "amount_sum_1h"), ("ftr_card__velocity", HOSTILE)]
    drifts = [
        (view, feature, "rolling", f"2025-{month:02}", *values)
        for view, feature in features
        for month, values in (
            (1, (None, None, None, None, None, "too early")),
            (2, (0.03, 0.02, 0.02, 0.01, 0.0, "stable")),
            (3, (0.61, 0.4, 0.3, 1.5, 0.0, "drift" if feature != HOSTILE else "stable")),
        )
    ]
    with connect(project.warehouse, read_only=False) as connection:
        connection.execute("update gold.mon_freshness set verdict = 'stale', age_seconds = ?", [SILENT_FOR])
        connection.execute(
            "create table gold.mon_volume (table_name varchar, event_on date, row_count bigint, "
            "expected_rows double, verdict varchar)"
        )
        connection.executemany(
            "insert into gold.mon_volume values (?, ?, ?, ?, ?)",
            [*volumes, (HOSTILE, LAST_DAY, 0, 42.0, "missing")],
        )
        connection.execute(
            'create table gold.mon_feature_drift ("view" varchar, feature varchar, reference varchar, '
            '"window" varchar, psi double, ks double, js double, mean_shift double, null_shift double, '
            "verdict varchar)"
        )
        connection.executemany(
            "insert into gold.mon_feature_drift values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", drifts
        )
        connection.execute(
            "create table gold.mon_retraining as select * from (values "
            "('trn_fraud', true, 'one feature drifts'), ('trn_churn', false, 'nothing has changed')) "
            "as sets (training_set, retrain, reason)"
        )
        connection.execute(
            "create table gold.mon_quality (table_name varchar, column_name varchar, dimension varchar, "
            "rule_id varchar, period date, verdict varchar, detail varchar, begins_in varchar, "
            "reason varchar, remedy varchar)"
        )
        connection.executemany(
            "insert into gold.mon_quality values (?, ?, 'completeness', 'more_nulls', ?, ?, ?, ?, "
            "'Too many values are NULL', 'ask the source')",
            [
                ("slv_order_lines", "country", date(2025, 3, 1), "broken", "9 of 10 rows", None),
                ("fct_lines", "country", date(2025, 3, 1), "broken", "9 of 10 rows", "slv_order_lines"),
                ("slv_order_lines", "country", date(2025, 1, 1), "broken", "7 of 10 rows", None),
                ("slv_order_lines", "country", date(2024, 12, 1), "ok", None, None),
            ],
        )


def take_version(project: SmallProject) -> None:
    """Put a version of a training set into the store."""
    with chdir(project.root):
        folder = VersionStore(find_places()).folder / VERSION
        folder.mkdir(parents=True)
        moment = datetime(2025, 3, 1, 12)
        manifest = VersionManifest(
            version=VERSION,
            name="trn_fraud",
            content_hash="d4457ccfc03e0000",
            rows=1234,
            primary_key=["transaction_id"],
            columns=[],
            splits=[Split("train", 1000, 0.01), Split("test", 234, 0.02)],
            features=[],
            as_of=moment,
            is_as_of_given=True,
            code={},
            code_version=None,
            engine="DuckDB",
            run_id="0123456789",
            input_files=12,
            input_rows=3456,
            input_hash="",
            created_at=moment,
        )
        write_version(folder, manifest, [])


@dataclass
class ReportPage(HTMLParser):
    """The page as text by section, and the elements it is made of."""

    file: Path
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, str]] = []
        self.html = self.file.read_text(encoding="utf-8")
        self.feed(self.html)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in _VOID:
            inside = self._open[-1][1] if self._open else "page"
            is_section = tag in ("section", "style", "title")
            name = attributes.get("id") or attributes.get("aria-labelledby") or tag
            self._open.append((tag, name if is_section else inside))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        section = self._open[-1][1] if self._open else "page"
        self.sections[section] = " ".join(f"{self.sections.get(section, '')} {data}".split())

    def attributes(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]
