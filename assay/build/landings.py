"""Find when what a run has loaded landed, for each product whose contract promises a latency."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from assay.contracts.availability import read_promises
from assay.project.conventions import is_of_kind, product_of
from assay.project.graph import Manifest, ancestor_ids
from assay.project.warehouse import connect


def find_landings(warehouse: Path, run_id: str, manifest: Manifest) -> dict[str, datetime]:
    """Return when the first of the files landed (UTC) that a run has loaded, by product.

    Args:
        warehouse: the file that the run has written.
        run_id: the run's id.
        manifest: of the project.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    promised = {promise.product for promise in read_promises()[0] if promise.is_latency}
    if not promised:
        return {}
    with connect(warehouse) as connection:
        rows = connection.execute(
            "select source_name, table_name, min(landed_at) from landing.files "
            "where run_id = ? and status = 'loaded' group by all",
            [run_id],
        ).fetchall()
    landed = {(source, table): landed_at for source, table, landed_at in rows}
    found: dict[str, datetime] = {}
    for unique_id, node in manifest.nodes.items():
        product = product_of(node) if is_of_kind(node, "gold") else None
        if product not in promised:
            continue
        for each in ancestor_ids(unique_id, manifest.nodes):
            source = manifest.sources.get(each)
            at = landed.get((source["source_name"], source["name"])) if source else None
            if at is not None:
                found[product] = min(at, found.get(product, at))
    return found
