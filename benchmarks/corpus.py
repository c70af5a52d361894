"""Benchmark corpus: near-duplicates among a million chunks, by MinHash, within a limit of memory."""

from __future__ import annotations

import json

from benchmarks.copies import PLANTED, SIMILARITY
from benchmarks.measure import run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of

_CHUNKS = {"small": 100_000, "full": 1_000_000}
_MEMORY, _LEAST = 4, 0.95
_GIBIBYTE = 1 << 30


def run(settings: Settings) -> Report:
    chunks = _CHUNKS[settings.scale]
    cost = run_module("benchmarks.copies", str(chunks))
    found = json.loads(cost.output.splitlines()[-1])
    memory = cost.peak_rss / _GIBIBYTE
    rows = [
        row_of(
            f"near-duplicates among {chunks:,} chunks of 150 words",
            [cost],
            limit=f"peak of memory <= {_MEMORY} GiB",
            met=memory <= _MEMORY,
        ),
        *(
            Row(
                f"{name}, {PLANTED:,} planted",
                ratio=found[name],
                limit=f">= {_LEAST}",
                met=found[name] >= _LEAST,
            )
            for name in ("precision", "recall")
        ),
    ]
    return Report(
        "corpus",
        f"near-duplicates by MinHash, from a similarity of {SIMILARITY}",
        rows,
        [f"{found['making_cpu']:.0f} s of the CPU time went into making up the chunks."],
    )
