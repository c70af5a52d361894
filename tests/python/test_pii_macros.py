"""Personal data can be hashed or masked in gold."""

from __future__ import annotations

import pytest
from package_project import PackageProject, make_package_project

from assay.pii.key import PiiKey

pytestmark = pytest.mark.usefixtures("builds")

KEY = "an invented key of 32 characters"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    return make_package_project(tmp_path_factory.mktemp("pii") / "project", models=False)


def test_hashes_and_masks(project: PackageProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PII_KEY", KEY)
    project.create("runs", "value varchar", [("4000661710000181",), ("ab",), ("",), (None,)])
    project.write_model(
        "shielded",
        """
        select
            value,
            {{ assay.pii_hash('value') }} as hashed,
            {{ assay.pii_mask('value') }} as masked,
            {{ assay.pii_mask('value', 4) }} as last_four
        from {{ source('plant', 'runs') }}
        """,
    )
    project.build()
    found = {row.pop("value"): row for row in project.rows("from shielded")}
    assert found == {
        value: {
            "hashed": PiiKey(KEY.encode()).hashed(value),
            "masked": "*" * len(value),
            "last_four": "*" * (len(value) - 4) + value[-4:],
        }
        if value is not None
        else {"hashed": None, "masked": None, "last_four": None}
        for value in ("4000661710000181", "ab", "", None)
    }


def test_without_a_key_nothing_is_hashed(project: PackageProject) -> None:
    project.write_model("shielded", "select {{ assay.pii_hash('1') }} as hashed")
    run = project.dbt("build", "--select", "shielded")
    assert run.returncode != 0
    assert "pii_hash has no key: set ASSAY_PII_KEY" in " ".join(run.stdout.split())


@pytest.mark.parametrize("shown", ["-1", "'two'", "1.5"])
def test_a_mask_that_is_none_is_refused(project: PackageProject, shown: str) -> None:
    project.write_model("mistaken", f"select {{{{ assay.pii_mask('1', {shown}) }}}}")
    run = project.dbt("compile", "--select", "mistaken")
    (project.root / "models" / "mistaken.sql").unlink()
    assert run.returncode != 0
    assert "mistaken: pii_mask shows a whole number" in " ".join(run.stdout.split())
