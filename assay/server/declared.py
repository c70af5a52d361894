"""The experiments that a project declares, as its file is now."""

from __future__ import annotations

from pathlib import Path

from assay.core.fault import Fault, unknown
from assay.project.experiments import Experiment, Experiments, read_experiments
from assay.server.rejected import Rejected


class DeclaredExperiments:
    """The experiments of a file; a person may change it at any time.

    Args:
        path: the file; without it there are no experiments.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, ...] | None = None
        self._experiments = Experiments({})

    def named(self, name: str) -> Experiment:
        """Return an experiment.

        Raises:
            Fault: the file, or this experiment in it, is broken.
            Rejected: there is no such experiment.
        """
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._experiments, self._read = Experiments({}), None
        else:
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._read != state:
                self._experiments = read_experiments(self._path)
                self._read = state
        found = self._experiments.found
        if name in found:
            return found[name]
        if self._experiments.problems:
            # It may be the one that is broken.
            raise Fault(f"There is no experiment {name} to assign to: {' '.join(self._experiments.problems)}")
        raise Rejected(404, unknown(f"There is no experiment {name}", name, found))
