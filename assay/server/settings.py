"""What a server is started with; its workers read it from their environment."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from assay.project.experiments import EXPERIMENTS

_PREFIX = "ASSAY_SERVE_"
# The folder in which workers put their figures together; the name is prometheus_client's.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True)
class Settings:
    """How to serve.

    `folder` holds the API keys, the audit log and who was assigned to which arm, `docs` is dbt's
    documentation, `landing` where what the server is told lands, `ahead` what streams have changed since
    the last build, `search` the index of documents, `deleted` which of them are deleted since it was
    built, `experiments` those that are declared. `body_bytes` and `entities` bound a request, `seconds`
    how long it may take. `grpc` is the address for calls of gRPC, if there is one. Of each API key, a
    worker takes `requests_per_second`, and `prediction_bytes_per_hour` to keep.
    """

    store: str
    folder: Path
    docs: Path
    landing: Path
    ahead: Path
    search: Path
    deleted: Path
    experiments: Path = EXPERIMENTS
    with_keys: bool = False
    grpc: str = ""
    body_bytes: int = 1 << 20
    entities: int = 1000
    seconds: float = 5.0
    requests_per_second: float = 100.0
    prediction_bytes_per_hour: int = 64 << 20

    def to_environment(self) -> None:
        """Put the settings where workers find them."""
        for name, value in asdict(self).items():
            os.environ[_PREFIX + name.upper()] = str(value)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read what `to_environment` wrote."""
        found = {name: os.environ[_PREFIX + name.upper()] for name in cls.__dataclass_fields__}
        return cls(
            store=found["store"],
            folder=Path(found["folder"]),
            docs=Path(found["docs"]),
            landing=Path(found["landing"]),
            ahead=Path(found["ahead"]),
            search=Path(found["search"]),
            deleted=Path(found["deleted"]),
            experiments=Path(found["experiments"]),
            with_keys=found["with_keys"] == "True",
            grpc=found["grpc"],
            body_bytes=int(found["body_bytes"]),
            entities=int(found["entities"]),
            seconds=float(found["seconds"]),
            requests_per_second=float(found["requests_per_second"]),
            prediction_bytes_per_hour=int(found["prediction_bytes_per_hour"]),
        )
