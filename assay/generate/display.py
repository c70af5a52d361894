"""Show what is proposed of a source or a model."""

from __future__ import annotations

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.generate.gold import GoldPlan
from assay.generate.source import Plan

# What the SQL of silver calls the times of a row, and what its table does.
_OF_TIMES = {"written_at": "event_at", "received_at": "available_at"}


def print_plan(plan: Plan, console: Console, *, with_difference: bool) -> None:
    """Print what is proposed, each with its evidence, or what a newer sample changes."""
    if plan.is_new:
        _print_proposal(plan, console)
    else:
        line(console, f"{plan.proposal.name} is there already.")
        for change in plan.changes or ["The sample shows nothing new."]:
            line(console, f"  {change}")
    for note in plan.proposal.notes if plan.is_new else ():
        line(console, f"Note: {note}")
    for each in plan.by_hand:
        line(console, f"By hand: {each}")
    if with_difference:
        line(console, plan.difference.rstrip("\n"))
    for file, target in plan.landing.items() if with_difference or not plan.is_new else ():
        line(console, f"{file} would land as {target}")


def _print_proposal(plan: Plan, console: Console) -> None:
    proposal = plan.proposal
    table = table_titled(f"{proposal.name}, from {counted(proposal.rows, 'row')}")
    for heading in ("column", "in silver", "type", "evidence"):
        table.add_column(heading, overflow="fold")
    for each in proposal.fields:
        words = [
            each.evidence[word]
            for word in ("type", "required", "empty", "values", "range", "personal")
            if word in each.evidence
        ]
        kind = each.type.sql + " not null" * each.required + f", pii: {each.pii}" * bool(each.pii)
        table.add_row(each.label, _OF_TIMES.get(each.silver, each.silver), kind, "; ".join(words))
    console.print(table)
    for name, choice in proposal.choices.items():
        line(console, f"{name.capitalize()}: {choice.value} ({choice.evidence})")


def print_written(plan: Plan, console: Console) -> None:
    """Print what was written, and what to do next."""
    for path in plan.files:
        line(console, f"Wrote {path}")
    for target in plan.landing.values():
        line(console, f"Landed {target}")
    build = "assay build --full-refresh" if plan.needs_full_refresh else "assay build"
    line(console, f"Go over {next(iter(plan.files), 'the landing zone')}, then: {build}")


def print_model(plan: GoldPlan, console: Console, *, is_written: bool) -> None:
    """Print what is proposed of a model of gold, each with its evidence, and what was written or would be."""
    line(console, plan.name if plan.files else f"{plan.name} is there already: nothing is written.")
    for each in plan.evidence:
        line(console, f"  {each}")
    if not is_written:
        line(console, plan.difference.rstrip("\n"))
        return
    for path in plan.files:
        line(console, f"Wrote {path}")
    if plan.next_steps:
        line(console, "Next")
    for step in plan.next_steps:
        line(console, f"  {step}")
