"""Decide what a run is to do, and have dbt do it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from assay.build.build import Options
from assay.build.inputs import Inputs, identity
from assay.build.plan import Plan, make_plan, node_digests
from assay.build.selection import find_selection
from assay.build.state import State
from assay.console.progress import Display
from assay.core.moment import as_variable, in_file_name
from assay.core.places import Places, find_target
from assay.ledger.runs import Run
from assay.project.dbt_run import DbtOutcome, ask_dbt, run_dbt
from assay.project.head_start import keep_parsed, read_parsed
from assay.project.kept import OF_BUILD
from assay.project.lease import lease_tables
from assay.spark.handover import handed_over


@dataclass(frozen=True)
class Work:
    """What a run is to do: its plan, and the project as parsed for it; None if it is not parsed before."""

    plan: Plan
    manifest: Any
    inputs: Inputs
    state: State | None
    digests: Mapping[str, str]

    @property
    def is_part(self) -> bool:
        """Whether the run builds a part of the project."""
        return self.plan.run is not None

    @property
    def keeps_manifest(self) -> bool:
        """Whether the manifest of this code, with the SQL of all nodes, is there from an earlier build."""
        return (
            self.is_part
            and self.state is not None
            and self.state.inputs.code == self.inputs.code
            and self.state.manifest == identity(find_target() / OF_BUILD)
            and self.state.manifest is not None
        )

    @property
    def starts_dbt(self) -> bool:
        """Whether there is anything to run; else something is still to be published, or a test is gone."""
        return self.plan.run is None or bool(self.plan.run)

    @property
    def removed(self) -> list[str]:
        """The ids of what the project had when the state was written, and has no more."""
        return sorted(self.state.digests.keys() - self.digests.keys()) if self.is_part and self.state else []


def plan_work(options: Options, places: Places, inputs: Inputs, state: State | None, run: Run) -> Work:
    """Parse the project, and decide what to run of it."""
    if options.select or options.as_of:
        return Work(Plan(None), None, inputs, None, {})
    manifest = _parse(places, inputs)
    if manifest is None:
        # dbt's build will report why.
        return Work(Plan(None), None, inputs, None, {})
    is_known = state is not None and state.inputs.of_code == inputs.of_code
    digests = state.digests if state and is_known else node_digests(manifest)
    plan = (
        Plan(None)
        if state is None or options.builds_all
        else make_plan(state, inputs, places, manifest, digests, run.started_at)
    )
    run.options["part"] = plan.run is not None
    run.options["later"] = sorted(plan.waiting)
    return Work(plan, manifest, inputs, state, digests)


# The project as this process parsed it last: a build that finds the same code does not parse it again.
_parsed: dict[tuple[str, str, str], Any] = {}


def _parse(places: Places, inputs: Inputs) -> Any:
    key = (str(Path.cwd()), inputs.settings, inputs.code)
    if key not in _parsed:
        _parsed.clear()
        manifest = read_parsed(key)
        if manifest is None:
            parsed = ask_dbt(["parse"], places.warehouse)
            if not parsed.success:
                return None
            manifest = parsed.result
            keep_parsed(key, manifest)
        _parsed[key] = manifest
    return _parsed[key]


def run_planned(
    options: Options, places: Places, work: Work, begin: Callable[[str], None], display: Display
) -> DbtOutcome:
    """Have dbt build what is planned.

    Args:
        options: of the build.
        places: of the project.
        work: what is to be done.
        begin: called with the run's id before anything else happens.
        display: shows the progress.
    """
    if not work.starts_dbt:
        begin(str(uuid4()))
        return DbtOutcome(succeeded=True)
    chosen = (
        work.plan.selection(work.manifest)
        if work.manifest
        else nullcontext(_selected(options, places, display))
    )

    def begin_with_manifest(run_id: str) -> None:
        # The manifest that dbt writes names the run that it is of, not the parse before it.
        if work.manifest:
            work.manifest.metadata.invocation_id = run_id
        begin(run_id)

    with chosen as selection, handed_over(places, display.say) as handover:
        return run_dbt(
            _dbt_arguments(options, work, selection),
            warehouse=places.warehouse,
            on_start=begin_with_manifest,
            watcher=display,
            manifest=work.manifest,
            plugins=handover.plugins,
            on_interrupt=handover.cancel,
        )


def _selected(options: Options, places: Places, display: Display) -> list[str]:
    """Return dbt's selection, and print what was added to or left out of the user's selection."""
    if not options.select:
        return []
    selection = find_selection(options.select, _project_arguments(options), places.warehouse)
    for told in selection.told() if selection else []:
        display.say(told)
    if selection:
        lease_tables(places.warehouse, selection.tables)
    selected = selection.select if selection else [options.select]
    return ["--select", *selected, "--indirect-selection", "buildable"]


def _dbt_arguments(options: Options, work: Work, selection: Sequence[str]) -> list[str]:
    arguments = ["build", *_project_arguments(options), *selection]
    if options.full_refresh:
        arguments.append("--full-refresh")
    if work.keeps_manifest:
        arguments.append("--no-write-json")
    if options.as_of or _has_tested_code(work):
        # Unit tests bring their own rows and times: they test the code, and it is as it was.
        arguments += ["--exclude-resource-type", "unit_test"]
    return arguments


def _has_tested_code(work: Work) -> bool:
    """Tell whether the unit tests of this code have passed."""
    state = work.state
    return (
        not work.is_part
        and state is not None
        and not any(each.startswith("unit_test.") for each in state.failed)
        and state.inputs.of_code == work.inputs.of_code
    )


def _project_arguments(options: Options) -> list[str]:
    if not options.as_of:
        return []
    # dbt parses again if variables change. With a target folder for each moment, every parse is kept.
    variables = json.dumps({"as_of": as_variable(options.as_of)})
    return ["--vars", variables, "--target-path", str(target_path(options))]


def target_path(options: Options) -> Path:
    """Return the folder into which dbt writes its artifacts."""
    target = find_target()
    return target / "as_of" / in_file_name(options.as_of) if options.as_of else target
