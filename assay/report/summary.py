"""Whether gold is fine, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.words import counted, duration, listed, moment, number
from assay.ledger.account import Account
from assay.ledger.rollbacks import Rollback
from assay.ledger.runs import Run
from assay.report.blocks import Need, Tone


@dataclass(frozen=True)
class Summary:
    """The sentence, what readers of gold have, and figures: of what, how many, and what goes with it."""

    tone: Tone
    headline: str
    readers: str
    figures: list[tuple[str, str, str]]


def summarize(
    run: Run,
    status: str,
    history: Sequence[Run],
    published: Path,
    account: Account,
    needs: Sequence[Need],
    held_back: Sequence[str],
    rollback: Rollback | None = None,
) -> Summary:
    """Sum a run up.

    Args:
        run: the latest of the warehouse that ended.
        status: how it ended.
        history: all runs, newest first.
        published: the file that readers open.
        account: of the warehouse.
        needs: what needs a person.
        held_back: the products that readers have of an earlier build.
        rollback: the rollback that stands.
    """
    last = next((other for other in history if other.published_path == str(published)), None)
    tone, headline, readers = _verdict(run, status, last, published, len(needs), held_back)
    if rollback:
        tone, headline, readers = (
            "bad",
            "Gold is rolled back to an earlier publication.",
            f"It was {rollback}.",
        )
    elif tone == "good" and not account.landed:
        tone, headline = "watch", "Gold is published and empty: no file has landed."
    return Summary(tone, headline, readers, _figures(run, last, account))


def _verdict(
    run: Run, status: str, last: Run | None, published: Path, needs: int, held_back: Sequence[str]
) -> tuple[Tone, str, str]:
    if last is None:
        return "bad", f"Nothing is published: the latest build {_ended(status)}.", run.message or ""
    if not published.is_file():
        return "bad", "What was published is gone.", f"There is no {published}. The next build writes it."
    readers = f"Readers have {published}, published {moment(last.published_at)} UTC."
    if run.published_at is None:
        tone: Tone = "watch" if status == "succeeded" else "bad"
        said = f"Gold stays as it was: the latest build {_ended(status)}."
        return tone, said, f"{readers} Why: {run.message}." if run.message else readers
    if held_back:
        return "bad", f"Gold is published, except {listed(held_back)}.", readers
    if not needs:
        return "good", "Gold is fine, and nothing needs a person.", readers
    verb = "needs" if needs == 1 else "need"
    return "watch", f"Gold is published, and {counted(needs, 'thing')} {verb} a person.", readers


def _ended(status: str) -> str:
    words = {"failed": "failed", "killed": "was killed", "running": "is under way"}
    return words.get(status, "did not publish")


def _figures(run: Run, last: Run | None, account: Account) -> list[tuple[str, str, str]]:
    kept, rejected = (sum(getattr(table, name) for table in account.checked) for name in ("kept", "rejected"))
    failed = f"{run.tests_failed:,} failed" if run.tests_failed else "none failed"
    figures = [
        ("Tests passed", number(run.tests_passed), failed),
        (
            "New rows landed",
            number(run.rows_landed),
            f"of {number(sum(table.landed for table in account.landed))} in all",
        ),
        ("Rows in quarantine", number(rejected), f"{rejected / max(kept + rejected, 1):.1%} of all"),
    ]
    if last:
        rows = counted(last.published_rows or 0, "row")
        figures.append(("Tables published", number(last.published_tables), rows))
    if run.ended_at:
        seconds = (run.ended_at - run.started_at).total_seconds()
        figures.append(("The build took", duration(seconds), moment(run.ended_at)))
    return figures
