"""Which version of the project's code is in the current folder."""

from __future__ import annotations

import shutil
import subprocess


def code_version() -> str | None:
    """Return the git commit of the project, with `-dirty` where files differ from it; None without git."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
