"""A version is a dataset of a run in MLflow, a real server of which answers here."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from redis_server import free_port
from side_packages import own_environment
from small_project import SmallProject

SECONDS_TO_START = 300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking server with a database and artifacts of its own."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    commands = own_environment("mlflow", "mlflow==3.17.2")
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += [
        "--backend-store-uri",
        "sqlite:///runs.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(commands / "mlflow"), "server", *options],
            cwd=folder,
            # Jobs are not asked for here, and their machinery starts slowly.
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + SECONDS_TO_START
            while not answers(address):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait()


def answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


def ask(server: str, path: str, **content: Any) -> dict[str, Any]:
    answer = requests.request(
        "POST" if content.get("json") else "GET", f"{server}/api/2.0/mlflow/{path}", timeout=30, **content
    )
    answer.raise_for_status()
    return dict(answer.json())


@pytest.fixture(scope="module")
def project(built_training: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    folder = tmp_path_factory.mktemp("logged") / "project"
    return SmallProject(Path(shutil.copytree(built_training.root, folder)))


def newest(project: SmallProject) -> tuple[str, dict[str, Any]]:
    """A version, and its manifest."""
    folders = sorted((project.root / "data" / "training_sets").glob("*@*"))
    return folders[0].name, json.loads((folders[0] / "manifest.json").read_text())


def runs_with(server: str, version: str) -> list[dict[str, Any]]:
    found = ask(server, "experiments/get-by-name", params={"experiment_name": version.partition("@")[0]})
    id_ = found["experiment"]["experiment_id"]
    return list(ask(server, "runs/search", json={"experiment_ids": [id_]}).get("runs", []))


def test_a_version_is_a_dataset_of_a_run(server: str, project: SmallProject) -> None:
    version, manifest = newest(project)
    # A second time changes nothing.
    for _ in range(2):
        logged = project.assay("training-set", "log", version, "--mlflow", server)
        assert logged.exit_code == 0, logged.output
    [run] = runs_with(server, version)
    assert run["info"]["run_name"] == version
    assert run["info"]["status"] == "FINISHED"
    assert f"{version} is a dataset of run {run['info']['run_id']}" in logged.stdout
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert f": {manifest['rows']:,} rows (" in tags["mlflow.note.content"]
    [used] = run["inputs"]["dataset_inputs"]
    dataset = used["dataset"]
    assert {tag["key"]: tag["value"] for tag in used["tags"]} == {"mlflow.data.context": "training"}
    assert (dataset["name"], dataset["digest"]) == (version, manifest["content_hash"][:36])
    source = json.loads(dataset["source"])
    assert Path(unquote(urlsplit(source["uri"]).path)).is_file()
    assert json.loads(dataset["profile"])["num_rows"] == manifest["rows"]
    columns = [each["name"] for each in json.loads(dataset["schema"])["columns"]]
    assert columns == [each["name"] for each in manifest["columns"]]
    card = requests.get(
        f"{server}/get-artifact",
        params={"run_id": run["info"]["run_id"], "path": f"{version}.md"},
        timeout=30,
    )
    assert card.text.startswith(f"# {version}\n")
    assert manifest["content_hash"] in card.text
    traced = project.assay("trace", version)
    assert f"Logged to runs of MLflow: {run['info']['run_id']}." in traced.stdout


def test_a_version_is_logged_to_the_run_that_trains_on_it(server: str, project: SmallProject) -> None:
    version, _ = newest(project)
    experiment = ask(server, "experiments/create", json={"name": "models"})["experiment_id"]
    run = ask(server, "runs/create", json={"experiment_id": experiment, "run_name": "mine"})["run"]["info"]
    logged = project.assay("training-set", "log", version, "--mlflow", server, "--run", run["run_id"])
    assert logged.exit_code == 0, logged.output
    found = ask(server, "runs/get", params={"run_id": run["run_id"]})["run"]
    assert [each["dataset"]["name"] for each in found["inputs"]["dataset_inputs"]] == [version]
    # Whoever began it ends it.
    assert found["info"]["status"] == "RUNNING"
    assert "mlflow.note.content" not in {tag["key"] for tag in found["data"]["tags"]}


def test_what_mlflow_refuses_is_told(server: str, project: SmallProject) -> None:
    version, _ = newest(project)
    log = ("training-set", "log", version, "--mlflow")
    for options, code, said in (
        ((server, "--run", "none"), 1, "refuses: Run with id=none not found"),
        ((f"{server}/elsewhere",), 1, "no answer as MLflow gives it"),
        (("file:mlruns",), 2, "such as http://localhost:5000"),
        (("http://me:secret@host",), 2, "MLFLOW_TRACKING_USERNAME"),
        (("http://[::1",), 2, "such as http://localhost:5000"),
    ):
        refused = project.assay(*log, *options)
        assert refused.exit_code == code, refused.output
        assert said in " ".join(refused.stderr.split())
        assert "secret" not in refused.stderr


def test_where_mlflow_is_away_it_is_told(project: SmallProject) -> None:
    version, _ = newest(project)
    # Nobody listens at a port that is taken, and not listened at.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        away = project.assay("training-set", "log", version, "--mlflow", address)
    assert away.exit_code == 1
    assert f"MLflow at {address} cannot be reached" in " ".join(away.stderr.split())
