"""What reads the clock or data that nobody declares is found, and nothing of the project's own code is."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.build.outside import reads_outside

_PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "code",
    [
        "select current_date as day",
        "select CURRENT_TIMESTAMP",
        "where event_at < now() - interval 1 day",
        "where event_at < {{ dbt.current_timestamp() }}",
        "select '{{ run_started_at.date() }}'",
        "select * from read_csv('rates.csv')",
        "select * from postgres_scan('host=db', 'public', 'rates')",
        "select * from 'data/rates.parquet'",
        "from rates.main.daily",
        'join "rates"."daily" using (day)',
        "select a from (select * from other.daily)",
    ],
)
def test_the_clock_and_data_of_others_are_found(code: str) -> None:
    assert reads_outside(code)


@pytest.mark.parametrize(
    "code",
    [
        "select known_at, now_at from {{ ref('fct_lines') }}",
        "select 'current_date' as kind",
        "select 1 -- now()",
        "/* from a.b */ select 1",
        "{# read_csv('x') #} select 1",
        "select extract(day from lines.event_at), trim(both ' ' from lines.kind)",
        "select lines.kind is distinct from kinds.kind",
        "select regexp_extract(kind, 'from ''(.)''')",
    ],
)
def test_what_only_looks_like_it_is_not(code: str) -> None:
    assert not reads_outside(code)


@pytest.mark.parametrize(
    ("code", "is_outside"),
    [
        ("from mine.parts import scores", False),
        ("rows = pd.read_csv('rates.csv')", True),
        ("today = date.today()", True),
        ("with open('rates.txt') as file:", True),
    ],
)
def test_python_models_are_looked_at_as_python(code: str, is_outside: bool) -> None:
    assert reads_outside(code, "python") is is_outside


def test_no_sql_of_the_project_reads_outside() -> None:
    folders = ("models", "snapshots", "macros", "tests/dbt")
    found = {
        file.name
        for folder in folders
        for file in (_PROJECT / folder).rglob("*.sql")
        if reads_outside(file.read_text())
    }
    # Hooks that look into the warehouse before a run.
    assert found <= {"guard_as_of.sql", "guard_pii_key.sql"}
