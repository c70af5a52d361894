"""An encrypted warehouse of three increments holds what one build makes in a plain file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from built_once import built_once
from lake_contents import contents
from small_project import SmallProject
from test_encryption import KEY
from test_lake import write_twins

from assay.core.encryption import is_encrypted

_NO_TESTS = ("--exclude-resource-type", "test")


def _build(project: SmallProject) -> None:
    run = project.dbt("build", *_NO_TESTS)
    assert run.returncode == 0, run.stdout + run.stderr


def make_grown(root: Path) -> None:
    """Build three days with a key, day by day, and the same landing zone without one at once."""
    project = write_twins(root / "plain")
    secret = replace(write_twins(root / "secret"), settings={"ASSAY_ENCRYPTION_KEY": KEY})
    for day in (9, 10, 11):
        for each in (project, secret):
            each.land(day, *range(1, day))
        _build(secret)
    _build(project)


@pytest.fixture(scope="module")
def grown(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_once(tmp_path_factory, "grown_encrypted", make_grown)


def _held(warehouse: Path) -> dict[str, object]:
    return {
        name: held
        for name, held in contents(warehouse).items()
        # A snapshot captures what each run found, and fingerprints of histories are no product.
        if name.startswith(("silver", "gold")) and not name.endswith("__input")
    }


def test_an_encrypted_warehouse_grows_as_a_plain_one_does(
    grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, secret = (SmallProject(grown / name).warehouse for name in ("plain", "secret"))
    assert (is_encrypted(plain), is_encrypted(secret)) == (False, True)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    held = _held(secret)
    assert {"silver.slv_added", "gold.fct_added", "gold.ftr_product__lines", "gold.trn_lines"} <= {*held}
    assert held == _held(plain)
