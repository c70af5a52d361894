"""What people keep in YAML stays to the letter when a part of it is changed, however they indent it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.project.yaml_file import YamlFile, one_line

STYLES = {
    "lists as deep as their key": """\
models:
- name: a  # Why.
  columns:
  - {name: b}
  tags:
  - 'x'
""",
    "lists two deeper": """\
models:
  - name: a
    # About it.
    columns:
      - {name: b}
""",
    "all four deeper": """\
models:
    - name: a
      config:
          meta:
              x: 1
      columns:
          - {name: b}
""",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_column_that_is_added_is_the_only_line_that_changes(tmp_path: Path, style: str) -> None:
    path = tmp_path / "models.yml"
    path.write_text(STYLES[style])
    file = YamlFile(path)
    assert not file.write()
    file.content["models"][0]["columns"].append(one_line({"name": "c"}))
    assert file.write()
    before = next(line for line in STYLES[style].splitlines() if "name: b" in line)
    added = before.replace("name: b", "name: c")
    assert path.read_text() == STYLES[style].replace(f"{before}\n", f"{before}\n{added}\n")
