"""Read arguments of the command line that hold several values."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core.fault import MISUSED, Fault


def split_list(text: str, option: str, separator: str = ",") -> list[str]:
    """Return what a text lists, each once.

    Raises:
        Fault: it lists nothing, or something twice.
    """
    found = [part.strip() for part in text.split(separator)]
    if not all(found) or len(set(found)) != len(found):
        raise Fault(
            f"{option} {text!r}: name at least one, each once, with {separator!r} in between.", MISUSED
        )
    return found


def split_features(text: str) -> dict[str, list[str]]:
    """Read features as the command line has them: `ftr_a:col1,col2;ftr_b`.

    Raises:
        Fault: they are written otherwise.
    """
    found: dict[str, list[str]] = {}
    for part in split_list(text, "--features", ";"):
        view, colon, names = (each.strip() for each in part.partition(":"))
        if "," in view:
            raise Fault(
                f"--features {view!r}: commas part the features of one view, and ; parts views. Write "
                f"{';'.join(each.strip() for each in view.split(','))}, in quotes, or ftr_a:col1,col2;ftr_b.",
                MISUSED,
            )
        if view in found:
            raise Fault(f"--features: {view} stands twice; write {view}:col1,col2.", MISUSED)
        found[view] = split_list(names, f"--features {view}:") if colon else []
    return found


def split_shares(text: str) -> list[float]:
    """Read shares of time as the command line has them: `0.6,0.85`.

    Raises:
        Fault: one is no number.
    """
    try:
        return [float(each) for each in split_list(text, "--split")]
    except ValueError as error:
        raise Fault(f"--split {text!r}: write shares of time, as 0.6,0.85.", MISUSED) from error


def split_measures(text: str) -> dict[str, list[str]]:
    """Read measures as the command line has them: `amount:sum,avg;*:count`.

    Raises:
        Fault: they are written otherwise.
    """
    found: dict[str, list[str]] = {}
    for part in split_list(text, "--measures", ";"):
        column, colon, aggregates = (each.strip() for each in part.rpartition(":"))
        if not (colon and column):
            raise Fault(
                f"--measures {part!r}: write a column and what is made of it, as amount:sum,avg, or *:count "
                "for the number of rows.",
                MISUSED,
            )
        if column in found:
            raise Fault(f"--measures: {column} stands twice; write {column}:sum,avg.", MISUSED)
        found[column] = split_list(aggregates, f"--measures {column}:")
    return found


def split_inputs(texts: Sequence[str]) -> dict[str, str]:
    """Return request inputs that are written as `name=value`.

    Raises:
        Fault: one is not.
    """
    if unnamed := [each for each in texts if "=" not in each]:
        raise Fault(f"--input {unnamed[0]}: write NAME=VALUE.", MISUSED)
    return {name: value for name, _, value in (each.partition("=") for each in texts)}
