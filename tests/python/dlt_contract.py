"""A contract that names a source of dlt, which fills what the contract is about."""

from __future__ import annotations

from pathlib import Path

_CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: {source}
name: Shop
version: 1.0.0
status: active
team: {{name: desk}}
servers:
  - {{server: {server}, type: custom, customProperties: [{{property: dlt, value: '{place}'}}]}}
schema:
  - name: {table}
    physicalName: landing.{source}__{table}
    customProperties: [{{property: format, value: jsonl}}]
    properties:
      - {{name: id, logicalType: integer}}
"""


def write_dlt_contract(root: Path, source: str, table: str, *, server: str, place: str) -> None:
    """Write the contract of a source with one table into a project; dlt's source is `place`."""
    folder = root / "contracts"
    folder.mkdir(exist_ok=True)
    text = _CONTRACT.format(source=source, table=table, server=server, place=place)
    (folder / f"{source}.odcs.yaml").write_text(text)
