"""What people keep in YAML stays to the letter when a part of it is changed, however they indent it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from assay.core.fault import Fault
from assay.core.yaml_text import read_settings
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


def test_a_text_that_other_readers_take_for_something_else_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("enabled: yes\n")
    file = YamlFile(path)
    assert not file.has_changed
    texts = ["on", "No", "12:30", "=", "0o17", "2026-01-01", "1_000", "word"]
    file.content["texts"] = [{each: each} for each in texts]
    assert file.text.startswith("enabled: yes\n")
    assert yaml.safe_load(file.text) == {"enabled": True, "texts": [{each: each} for each in texts]}


def test_settings_name_each_thing_once(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    assert read_settings(path) is None
    # A name may come again elsewhere, be merged in, or be written over what was merged in.
    path.write_text("a: &a {b: 1, c: 2}\nlist: [{<<: *a, b: 2}]\nd: {<<: *a}\n'1': x\n1: y\ne: [*a, *a]\n")
    assert read_settings(path) == {
        "a": {"b": 1, "c": 2},
        "list": [{"b": 2, "c": 2}],
        "d": {"b": 1, "c": 2},
        "1": "x",
        1: "y",
        "e": [{"b": 1, "c": 2}] * 2,
    }
    path.write_text("a:\n  - {b: 1}\n  - b: 1\n    'b': 2\n")
    with pytest.raises(Fault, match="line 4: b stands there twice"):
        read_settings(path)
    for text in ("a: [", "a: \xff"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(Fault, match="is no YAML"):
            read_settings(path)
