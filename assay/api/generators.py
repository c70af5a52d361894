"""The part of a project that writes models, contracts and YAML for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder, working_in
from assay.core.fault import MISUSED, Fault

if TYPE_CHECKING:
    from assay.api.results import ModelChanges, ModelYaml, SourceChanges
    from assay.generate.source import Ask


class Generators(ProjectFolder):
    """Writes into a project what people would write by hand; what they have written stays."""

    def add_source(
        self,
        name: str,
        samples: Sequence[str | Path] = (),
        *,
        key: Sequence[str] | None = None,
        event_at: str | None = None,
        available: str | None = None,
        owner: str | None = None,
        kafka: str | None = None,
        dlt: str | None = None,
        land: bool = True,
        dry_run: bool = False,
        ask: Ask | None = None,
        agree: Callable[[SourceChanges], bool] | None = None,
    ) -> SourceChanges:
        """Write a source's contract, models and YAML from samples; once more, bring them to newer samples.

        What is not given is proposed, and taken unless `ask` or `agree` say otherwise.

        Args:
            name: of the table, `source.table`.
            samples: CSV, JSON lines, Parquet, a Debezium log, or tables: `file.duckdb:schema.table`,
                `postgresql://user@host:5432/database:schema.table`. Without any, the topic's latest messages.
            key: columns that tell rows apart; `content_hash` for none.
            event_at: the column that says when it happened.
            available: when the warehouse could first use a row: a column, `landed`, or `lag:2s`.
            owner: who answers for the source.
            kafka: the topic that rows come from, as `host:9092/topic`; the contract then says so.
            dlt: the source of dlt that rows come from, as `module:name`; the sample is fetched from it, and
                the contract then says so.
            land: whether the samples are copied to the landing zone.
            dry_run: whether nothing is written.
            ask: asked for the key, the event time, the availability and the owner where they are not given:
                a function of the word and the choice proposed, that returns the answer.
            agree: asked before anything is written; nothing is, unless it returns True.

        Returns:
            What was written, or would be, with the evidence for it; go over it before you build.

        Raises:
            Fault: the name or a sample is of no use, or the project does not have Assay.
        """
        from assay.api.results import SourceChanges
        from assay.dlt.sample import read_dlt_sample
        from assay.generate.postgres import SCHEMES
        from assay.generate.propose import Answers
        from assay.generate.source import planned_source
        from assay.stream.sample import read_topic_sample

        if dlt is not None and (samples or kafka):
            raise Fault("--dlt fetches its own sample: leave files and --kafka out.", MISUSED)
        files = [str(each) if str(each).startswith(SCHEMES) else self.as_given(each) for each in samples]
        answers = Answers(None if key is None else list(key), event_at, available, owner, kafka)
        with working_in(self.root), ExitStack() as stack:
            if not files:
                folder, land = Path(stack.enter_context(TemporaryDirectory())), False
                if dlt is not None:
                    fetched, origin = read_dlt_sample(name, dlt, folder, self.console)
                    files, answers = list(map(str, fetched)), replace(answers, dlt=origin)
                elif kafka is not None:
                    # The stream lands them.
                    file, written = read_topic_sample(name, kafka, folder)
                    files, answers = [str(file)], replace(answers, is_avro=written == "avro")
                else:
                    raise Fault(
                        "Name a sample, or the topic that rows come from by --kafka, or a source of dlt by "
                        "--dlt.",
                        MISUSED,
                    )
            plan = stack.enter_context(planned_source(name, files, answers, ask=ask, lands=land))
            has_news = bool(plan.files or plan.landing) and not dry_run
            proposed = SourceChanges(plan, self.root, is_written=False)
            if is_agreed := has_news and (agree is None or agree(proposed)):
                plan.write()
        return SourceChanges(plan, self.root, is_written=is_agreed)

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
        return ModelChanges(plan, self.root, is_written=not dry_run)

    def add_label(
        self,
        name: str,
        *,
        spine: str,
        key: Sequence[str],
        prediction_at: str | None = None,
        outcome_from: str | None = None,
        outcome_key: Sequence[str] | None = None,
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
            outcome_key: what that model calls the columns of `key`, where it has other names for them.
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
                outcome_key=outcome_key,
                outcome_at=outcome_at,
                window=window,
                absent=absent,
                outcome=outcome,
                known_after=known_after,
                where=where,
                dry_run=dry_run,
            )
        return ModelChanges(plan, self.root, is_written=not dry_run)

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
        return ModelChanges(plan, self.root, is_written=not dry_run)

    def model_yaml(self, model: str, *, write: bool = False) -> ModelYaml:
        """Return the complete YAML entry of a model, written from its SQL; nothing needs to be built.

        A history becomes a feature view; tables, labels and training sets are described as what they are.
        What stands in the YAML already, descriptions and `feature_view` included, stays as it is; columns
        that are gone go.

        Args:
            model: its name.
            write: whether the entry is put into the folder's YAML file, in place of what is there.

        Raises:
            Fault: there is no such model, or its columns cannot be found.
        """
        from assay.api.results import ModelYaml
        from assay.features.generate import generate
        from assay.project.project import Project

        with working_in(self.root):
            made = generate(Project(unfinished=True), model)
            return ModelYaml(model, made.entry, made.columns, made.save() if write else None, self.root)
