"""Find the version of the project's code in the current folder."""

from __future__ import annotations

import shutil
import subprocess


def code_version() -> str | None:
    """Return the project's git commit, with `-dirty` if files differ from the commit; None without git."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
