"""The part of a project that writes models, contracts and YAML for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.folder import working_in

if TYPE_CHECKING:
    from assay.api.results import ModelChanges, SourceChanges


class Generators:
    """Writes into a project what people would write by hand; what they have written stays.

    Args:
        root: the project's folder, absolute.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def add_source(
        self,
        name: str,
        samples: Sequence[str | Path],
        *,
        key: Sequence[str] | None = None,
        event_at: str | None = None,
        available: str | None = None,
        owner: str | None = None,
        kafka: str | None = None,
        land: bool = True,
        dry_run: bool = False,
    ) -> SourceChanges:
        """Write a source's contract, models and YAML from samples; once more, bring them to newer samples.

        What is not given is proposed, and taken.

        Args:
            name: of the table, `source.table`.
            samples: CSV, JSON lines, Parquet, a Debezium log, or tables: `file.duckdb:schema.table`,
                `postgresql://user@host:5432/database:schema.table`.
            key: columns that tell rows apart; `content_hash` for none.
            event_at: the column that says when it happened.
            available: when the warehouse could first use a row: a column, `landed`, or `lag:2s`.
            owner: who answers for the source.
            kafka: the topic that rows come from, as `host:9092/topic`; the contract then says so.
            land: whether the samples are copied to the landing zone.
            dry_run: whether nothing is written.

        Returns:
            What was written, or would be, with the evidence for it; go over it before you build.

        Raises:
            Fault: the name or a sample is of no use, or the project does not have Assay.
        """
        from assay.api.results import SourceChanges
        from assay.generate.propose import Answers
        from assay.generate.source import add_source

        files = [self.as_given(each) for each in samples]
        answers = Answers(None if key is None else list(key), event_at, available, owner, kafka)
        with working_in(self.root):
            plan = add_source(name, files, answers, lands=land, dry_run=dry_run)
        return SourceChanges(plan, is_written=not dry_run)

    def add_view(
        self,
        name: str,
        *,
        model: str,
        entity: Sequence[str],
        measures: Mapping[str, Sequence[str]],
        windows: Sequence[str],
        event_at: str | None = None,
        available_at: str | None = None,
        online: bool = False,
        owner: str | None = None,
        dry_run: bool = False,
    ) -> ModelChanges:
        """Write a feature view: its model, and YAML with types and descriptions; nothing needs to be built.

        Args:
            name: `ftr_<entity>__<what>`, or only what it is about.
            model: the model of silver or gold whose rows are the events.
            entity: the columns that name the entity.
            measures: the aggregates of each column, as `{"amount": ["sum", "avg"], "*": ["count"]}`.
            windows: lengths of time such as `1h` or `7d`, or `all`.
            event_at: the column that says when an event happened; `event_at` without it.
            available_at: the column that says when it was known; `available_at` without it.
            online: whether it is served online.
            owner: who answers for it.
            dry_run: whether nothing is written.

        Raises:
            Fault: something named is not there, or cannot be; nothing is written then.
        """
        from assay.api.results import ModelChanges
        from assay.generate.view import add_view

        with working_in(self.root):
            plan = add_view(
                name,
                model=model,
                entity=entity,
                measures=measures,
                windows=windows,
                event_at=event_at,
                available_at=available_at,
                online=online,
                owner=owner,
                dry_run=dry_run,
            )
        return ModelChanges(plan, is_written=not dry_run)

    def add_label(
        self,
        name: str,
        *,
        spine: str,
        key: Sequence[str],
        prediction_at: str | None = None,
        outcome_from: str | None = None,
        outcome_at: str | None = None,
        window: str | None = None,
        absent: bool = False,
        outcome: str | None = None,
        known_after: str | None = None,
        where: str | None = None,
        dry_run: bool = False,
    ) -> ModelChanges:
        """Write a label: what happens within a time after the prediction, or a column that is known later.

        Args:
            name: `lbl_<what>`, or only what.
            spine: the model whose rows predictions are made for.
            key: the columns that name the entity; with the time they name a row.
            prediction_at: the column that says when a prediction is asked for; `available_at` without it.
            outcome_from: the model whose rows are what may happen.
            outcome_at: the column that says when it happened; `event_at` without it.
            window: how long after the prediction it may happen, such as `30d`.
            absent: whether the outcome is that nothing happens.
            outcome: the column of the spine that is the outcome, in place of `outcome_from`.
            known_after: how long after the prediction the outcome is known; the window and a day without it.
            where: SQL that tells which rows may happen, or predictions are made for.
            dry_run: whether nothing is written.

        Raises:
            Fault: something named is not there, or cannot be; nothing is written then.
        """
        from assay.api.results import ModelChanges
        from assay.generate.label import add_label

        with working_in(self.root):
            plan = add_label(
                name,
                spine=spine,
                key=key,
                prediction_at=prediction_at,
                outcome_from=outcome_from,
                outcome_at=outcome_at,
                window=window,
                absent=absent,
                outcome=outcome,
                known_after=known_after,
                where=where,
                dry_run=dry_run,
            )
        return ModelChanges(plan, is_written=not dry_run)

    def add_training_set(
        self,
        name: str,
        *,
        label: str,
        features: Mapping[str, Sequence[str]],
        split: Sequence[float] | None = None,
        dry_run: bool = False,
    ) -> ModelChanges:
        """Write a training set: its model, and YAML with types and descriptions.

        Args:
            name: `trn_<what>`, or only what.
            label: the model with the outcomes.
            features: feature views by name, each with the columns and derived features to take; none means
                all.
            split: after which shares of the label's time parts end: one for training and test rows, two with
                validation rows in between; as the command line has it without it.
            dry_run: whether nothing is written.

        Raises:
            Fault: something named is not there, or cannot be; nothing is written then.
        """
        from assay.api.results import ModelChanges
        from assay.generate.training_set import USUAL_SPLIT, add_training_set

        shares = USUAL_SPLIT if split is None else split
        with working_in(self.root):
            plan = add_training_set(name, label=label, features=features, split=shares, dry_run=dry_run)
        return ModelChanges(plan, is_written=not dry_run)

    def as_given(self, path: str | Path) -> str:
        """Return a path that somebody gave in the current folder, as it is called in the project's."""
        from assay.generate.postgres import SCHEMES

        is_file = not str(path).startswith(SCHEMES)
        return str(Path(path).absolute()) if is_file and Path.cwd() != self.root else str(path)
