"""Log a version of a training set to MLflow, as an input of the run that trains a model on it.

MLflow is asked over its REST API, so none of its packages is needed here. Its own variables say who asks:
`MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.ledger.logged_versions import LoggedVersion, record_logged_version
from assay.training.store import Version

_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 10.0, 60.0
# What MLflow takes of a digest, and of a schema.
_LONGEST_DIGEST, _LONGEST_SCHEMA = 36, 1_000_000
_LONGEST_REASON = 300
_VERSION_TAG, _CONTEXT_TAG = "assay.training_version", "mlflow.data.context"
_DESCRIPTION_TAG = "mlflow.note.content"
_PROXIED = "mlflow-artifacts:/"


@dataclass(frozen=True)
class Logged:
    """A version that was logged, and whether its card is among the run's artifacts."""

    record: LoggedVersion
    has_card: bool


def log_version(version: Version, ledger: Path, uri: str, run_id: str | None, card: str) -> Logged:
    """Log a version as a dataset of a run, with digest, columns, link and card; twice is as once.

    Args:
        version: of the training set.
        ledger: the run ledger, which keeps the run, so that predictions of it are followed.
        uri: of MLflow's tracking server.
        run_id: the run; without it the one that was made for this version, or a new one, in the experiment
            of the training set's name.
        card: what is known of the version, as Markdown.

    Raises:
        Fault: MLflow cannot be reached, refuses, or has no such run; or the ledger cannot be written.
    """
    server = _Server(uri)
    manifest = version.manifest
    run = server.run(run_id) if run_id else server.run_of(manifest.name, manifest.version)
    id_ = str(run["info"]["run_id"])
    server.ask("POST", "runs/log-inputs", {"run_id": id_, "datasets": [_dataset(version)]})
    tags = {_VERSION_TAG: manifest.version}
    if not run_id:
        tags[_DESCRIPTION_TAG] = _description(version)
    for key, value in tags.items():
        server.ask("POST", "runs/set-tag", {"run_id": id_, "key": key, "value": value})
    has_card = server.keep_card(run, manifest.version, card)
    if not run_id and run["info"].get("status") == "RUNNING":
        finished = {"run_id": id_, "status": "FINISHED", "end_time": _milliseconds()}
        server.ask("POST", "runs/update", finished)
    record = LoggedVersion(manifest.version, id_, server.address, now())
    record_logged_version(ledger, record)
    return Logged(record, has_card)


class _Server:
    """MLflow's tracking server."""

    def __init__(self, uri: str) -> None:
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise Fault(
                "The address of MLflow is that of its tracking server, such as http://localhost:5000. A user "
                "and a password go into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
                MISUSED,
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.address = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
        self._session = requests.Session()
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        if token:
            self._session.headers["Authorization"] = f"Bearer {token.strip()}"
        elif user:
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run."""
        found: dict[str, Any] = self.ask("GET", "runs/get", parameters={"run_id": run_id})["run"]
        if found["info"].get("lifecycle_stage") == "deleted":
            raise Fault(f"Run {run_id} is deleted in MLflow at {self.address}: restore it, or name another.")
        return found

    def run_of(self, experiment: str, version: str) -> dict[str, Any]:
        """Return the run that was made for a version, which is made now if there is none."""
        known = self._answer("GET", "experiments/get-by-name", parameters={"experiment_name": experiment})
        if known.status_code == requests.codes.not_found:
            id_ = self.ask("POST", "experiments/create", {"name": experiment})["experiment_id"]
        else:
            described = self._checked(known)["experiment"]
            if described.get("lifecycle_stage") == "deleted":
                raise Fault(
                    f"Experiment {experiment} is deleted in MLflow at {self.address}: restore it, or name a "
                    "run with --run."
                )
            id_ = described["experiment_id"]
        search = {
            "experiment_ids": [id_],
            "filter": f"tags.`{_VERSION_TAG}` = '{version}' and attributes.run_name = '{version}'",
            "max_results": 1,
        }
        if runs := self.ask("POST", "runs/search", search).get("runs"):
            return dict(runs[0])
        made = {
            "experiment_id": id_,
            "run_name": version,
            "start_time": _milliseconds(),
            "tags": [{"key": _VERSION_TAG, "value": version}],
        }
        created: dict[str, Any] = self.ask("POST", "runs/create", made)["run"]
        return created

    def keep_card(self, run: Mapping[str, Any], version: str, card: str) -> bool:
        """Keep the card among the run's artifacts, and return whether the server takes these itself.

        Raises:
            Fault: the server is away, or refuses.
        """
        root = str(run["info"]["artifact_uri"])
        if not root.startswith(_PROXIED):
            return False
        path = urlsplit(root).path.strip("/")
        address = f"{self.address}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{path}/{version}.md')}"
        self._checked(self._send("PUT", address, data=card.encode()))
        return True

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer of the REST API.

        Raises:
            Fault: the server is away, or refuses.
        """
        return self._checked(self._answer(method, path, body, parameters))

    def _answer(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> requests.Response:
        return self._send(method, f"{self.address}/api/2.0/mlflow/{path}", json=body, params=parameters)

    def _send(self, method: str, address: str, **content: Any) -> requests.Response:
        try:
            return self._session.request(
                method,
                address,
                timeout=(_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER),
                allow_redirects=False,
                **content,
            )
        except (requests.RequestException, UnicodeError) as error:
            raise Fault(
                f"MLflow at {self.address} cannot be reached ({type(error).__name__}): see that the server "
                "runs, and log again. What it has already stays as it is."
            ) from error

    def _checked(self, answer: requests.Response) -> dict[str, Any]:
        """Return the JSON of an answer.

        Raises:
            Fault: it is an error, or no JSON.
        """
        try:
            told = answer.json() if answer.content else {}
        except ValueError:
            told = None
        if answer.status_code == requests.codes.ok and isinstance(told, dict):
            return told
        reason = str((told or {}).get("message") or "") if isinstance(told, dict) else ""
        why = reason[:_LONGEST_REASON] or f"status {answer.status_code}, and no answer as MLflow gives it"
        raise Fault(f"MLflow at {self.address} refuses: {why}")


def _dataset(version: Version) -> dict[str, Any]:
    """Describe a version as MLflow describes datasets."""
    manifest = version.manifest
    columns = [{"name": each.name, "type": each.type} for each in manifest.columns]
    schema = json.dumps({"columns": columns, "features": [vars(each) for each in manifest.features]})
    profile = {"num_rows": manifest.rows, "splits": {each.split: each.rows for each in manifest.splits}}
    about: dict[str, str | int | None] = {
        "uri": version.data.absolute().as_uri(),
        "version": manifest.version,
        "run_id": manifest.run_id,
        "code_version": manifest.code_version,
        "input_hash": manifest.input_hash,
    }
    if manifest.lake_snapshot is not None:
        about["lake_snapshot"] = manifest.lake_snapshot
    dataset = {
        "name": manifest.version,
        "digest": manifest.content_hash[:_LONGEST_DIGEST],
        "source_type": "local",
        "source": json.dumps(about),
        "profile": json.dumps(profile),
    }
    if len(schema) <= _LONGEST_SCHEMA:
        dataset["schema"] = schema
    return {"dataset": dataset, "tags": [{"key": _CONTEXT_TAG, "value": "training"}]}


def _description(version: Version) -> str:
    """What MLflow's page says of the run that was made for a version."""
    manifest = version.manifest
    splits = ", ".join(f"{each.rows:,} {each.split}" for each in manifest.splits)
    return (
        f"Training set {manifest.name}: {manifest.rows:,} rows ({splits}), "
        f"{len(manifest.features)} features. "
        f"`assay trace {manifest.version}` tells where they come from."
    )


def _milliseconds() -> int:
    return int(time.time() * 1000)
