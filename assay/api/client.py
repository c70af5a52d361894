"""Clients of the feature server, which `assay serve` starts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from assay.api.frame import Frame
from assay.core.fault import FAILED, MISUSED, Fault

_LONGEST_ANSWER_TOLD = 300
_TOO_MUCH, _UNAVAILABLE = 429, 503


class ServerFault(Fault):
    """The server cannot be reached, or refuses.

    Args:
        message: what the server says, or why it cannot be reached.
        status: of HTTP; None where nothing was answered.
        retry_after: seconds after which it may be asked again, where it says so.
    """

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        is_refused = status is not None and status not in (_TOO_MUCH,) and status < 500
        super().__init__(message, MISUSED if is_refused else FAILED)
        self.status = status
        self.retry_after = retry_after


class FeatureRow(Mapping[str, Any]):
    """The features of one entity by name, as the server answers them; times are texts in ISO 8601, UTC.

    Args:
        answer: of the server.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        self._values: dict[str, Any] = answer["features"]
        self.statuses: dict[str, str] = answer["statuses"]
        self.defaults: list[str] = answer["defaults"]
        self.left_out: dict[str, dict[str, list[str]]] = answer["left_out"]
        self.timestamp: str = answer["timestamp"]
        self.store: dict[str, dict[str, Any]] = answer["store"]

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{self._values} as of {self.timestamp}"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td><td>{escape(self.statuses[name])}"
            f"{', default' if name in self.defaults else ''}</td></tr>"
            for name, value in self._values.items()
        )
        head = "<tr><th>feature</th><th>value</th><th>status</th></tr>"
        return f"<p>As of {escape(self.timestamp)}</p><table>{head}{rows}</table>"


class Client:
    """A client of the feature server. Several threads may share one.

    Args:
        url: of the server, such as `http://localhost:6566`.
        key: the API key, where the server asks for one.
        timeout: how long to wait for an answer, in seconds.

    Raises:
        Fault: the key cannot be one.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout: float = 10.0) -> None:
        import requests

        # Whoever sends such a header is told so in a message that shows it.
        if key is not None and not re.fullmatch("[!-~]+", key):
            raise Fault("The API key has characters that no API key has, such as the end of a line.", MISUSED)
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._session = requests.Session()
        # Set for each request: without it, requests would send what ~/.netrc has for the host.
        self._session.auth = self._with_key

    def get(
        self,
        features: str | Sequence[str],
        key: str | int | Mapping[str, str | int],
        *,
        inputs: Mapping[str, Any] | None = None,
        at: datetime | str | None = None,
    ) -> FeatureRow:
        """Return features of one entity.

        Args:
            features: names of feature views, `view:feature` for one feature alone.
            key: the entity's key; a dict by name where a view has several.
            inputs: what derived features need with the request, by name.
            at: the instant, UTC where it has no offset; now without it.

        Raises:
            ServerFault: the server cannot be reached, or refuses.
        """
        named: dict[str, Any] = {"keys": dict(key)} if isinstance(key, Mapping) else {"user_id": key}
        body = {
            **named,
            "feature_groups": [features] if isinstance(features, str) else list(features),
            "inputs": dict(inputs or {}),
            "as_of": _instant(at),
        }
        return FeatureRow(self._send("POST", "/features/get", body))

    def get_many(
        self,
        features: str | Sequence[str],
        entities: Any,
        *,
        full_names: bool = False,
        at: datetime | str | None = None,
    ) -> Frame:
        """Return features of many entities: a row for each, in their order, with their keys before them.

        Times are whole seconds since 1970, as Feast has them.

        Args:
            features: a list of `view:feature`; or the name of a training set, for the features that it trains
                on by its names for them, or of a feature view, for all.
            entities: a data frame, see `Project.features`, or a dict of lists: the keys, and request inputs.
            full_names: whether features are called `view__feature`.
            at: the instant of all, UTC where it has no offset; now without it.

        Raises:
            Fault: the entities are no table.
            ServerFault: the server cannot be reached, or refuses.
        """
        import pyarrow as pa

        from assay.api.entities import convert_to_arrow

        is_service = isinstance(features, str)
        body = {
            "feature_service" if is_service else "features": features if is_service else list(features),
            "entities": convert_to_arrow(entities).to_pydict(),
            "full_feature_names": full_names,
            "as_of": _instant(at),
        }
        answer = self._send("POST", "/get-online-features", body)
        columns = [pa.array(each["values"]) for each in answer["results"]]
        table = pa.table(columns, names=answer["metadata"]["feature_names"])
        return Frame(lambda: table)

    def log_prediction(
        self,
        *,
        model: str,
        label: str,
        label_id: str,
        score: float,
        threshold: float = 0.5,
        prediction_id: str | None = None,
        predicted_at: datetime | str | None = None,
        run_id: str | None = None,
        training_version: str | None = None,
        served: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """Have the server keep a prediction for the next build, which compares it with the outcome.

        Args:
            model: the model's name; another version, another name.
            label: the label's model, such as `lbl_<outcome>`.
            label_id: the row's id in it.
            score: probability that the outcome is true, from 0 to 1.
            threshold: score from which on it is taken for true.
            prediction_id: so that it can be sent twice; made up without it.
            predicted_at: when, UTC where it has no offset; now without it.
            run_id: the run that trained the model, such as MLflow's.
            training_version: the version of a training set that it trained on.
            served: features that were served for it: `feature_view`, `keys`, `as_of`, `features`, `inputs`.

        Returns:
            The prediction's id.

        Raises:
            ServerFault: the server cannot be reached, or refuses.
        """
        body = {
            "model": model,
            "label": label,
            "label_id": label_id,
            "score": score,
            "threshold": threshold,
            "prediction_id": prediction_id,
            "predicted_at": _instant(predicted_at),
            "run_id": run_id,
            "training_version": training_version,
            "served": None if served is None else [dict(each) for each in served],
        }
        return str(self._send("POST", "/predictions", body)["prediction_id"])

    def assign(
        self, experiment: str, entity_id: str | int, *, exposed: bool = True, exposure_id: str | None = None
    ) -> str | None:
        """Return the arm of an experiment that an entity gets, and have the exposure logged.

        Args:
            experiment: its name.
            entity_id: the entity's id, as rows of the metrics' models have it.
            exposed: whether the entity gets to see the arm now, which is logged.
            exposure_id: so that it can be sent twice; made up without it.

        Returns:
            The arm; None where the entity takes no part.

        Raises:
            ServerFault: the server cannot be reached, or refuses.
        """
        body = {"entity_id": entity_id, "exposed": exposed, "exposure_id": exposure_id}
        arm: str | None = self._send("POST", f"/experiments/{quote(experiment, safe='')}/assign", body)["arm"]
        return arm

    def feature_views(self) -> list[dict[str, Any]]:
        """Return what is online: each view with its keys, columns, derived features and inputs.

        Raises:
            ServerFault: the server cannot be reached, or refuses.
        """
        found: list[dict[str, Any]] = self._send("GET", "/feature-views")
        return found

    def feature_view(self, name: str) -> dict[str, Any]:
        """Return what one view declares and holds online.

        Raises:
            ServerFault: there is no such view, or the server cannot be reached, or refuses.
        """
        found: dict[str, Any] = self._send("GET", f"/feature-views/{quote(name, safe='')}")
        return found

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"assay.Client({self.url!r})"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        import orjson
        import requests

        try:
            response = self._session.request(
                method,
                self.url + path,
                data=None if body is None else _json(body),
                headers={} if body is None else {"Content-Type": "application/json"},
                timeout=self._timeout,
                # The key is for this server alone.
                allow_redirects=False,
            )
        except requests.Timeout as error:
            said = f"it has not answered within {self._timeout:g} s"
            raise ServerFault(f"The feature server at {self.url} cannot be asked: {said}.") from error
        except requests.RequestException as error:
            said = "does it run?" if isinstance(error, requests.ConnectionError) else str(error)
            raise ServerFault(f"The feature server at {self.url} cannot be reached: {said}") from error
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        if response.status_code < 300 and answer is not None:
            return answer
        detail = answer.get("detail") if isinstance(answer, dict) else None
        if not isinstance(detail, str):
            told = response.text[:_LONGEST_ANSWER_TOLD] or "nothing"
            detail = f"{self.url} answered {response.status_code} with {told!r}: is it a feature server?"
        wait = response.headers.get("Retry-After", "")
        raise ServerFault(detail, response.status_code, float(wait) if wait.isdigit() else None)

    def _with_key(self, request: Any) -> Any:
        if self._key is not None:
            request.headers["X-API-Key"] = self._key
        return request


class AsyncClient:
    """The same client for programs with an event loop: each request waits in a thread, and not the loop.

    Args:
        url: of the server, such as `http://localhost:6566`.
        key: the API key, where the server asks for one.
        timeout: how long to wait for an answer, in seconds.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout: float = 10.0) -> None:
        self._client = Client(url, key, timeout=timeout)

    async def get(
        self,
        features: str | Sequence[str],
        key: str | int | Mapping[str, str | int],
        *,
        inputs: Mapping[str, Any] | None = None,
        at: datetime | str | None = None,
    ) -> FeatureRow:
        """Return features of one entity; see `Client.get`."""
        return await asyncio.to_thread(self._client.get, features, key, inputs=inputs, at=at)

    async def get_many(
        self,
        features: str | Sequence[str],
        entities: Any,
        *,
        full_names: bool = False,
        at: datetime | str | None = None,
    ) -> Frame:
        """Return features of many entities; see `Client.get_many`."""
        return await asyncio.to_thread(
            self._client.get_many, features, entities, full_names=full_names, at=at
        )

    async def log_prediction(
        self,
        *,
        model: str,
        label: str,
        label_id: str,
        score: float,
        threshold: float = 0.5,
        prediction_id: str | None = None,
        predicted_at: datetime | str | None = None,
        run_id: str | None = None,
        training_version: str | None = None,
        served: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """Have the server keep a prediction; see `Client.log_prediction`."""
        return await asyncio.to_thread(
            self._client.log_prediction,
            model=model,
            label=label,
            label_id=label_id,
            score=score,
            threshold=threshold,
            prediction_id=prediction_id,
            predicted_at=predicted_at,
            run_id=run_id,
            training_version=training_version,
            served=served,
        )

    async def assign(
        self, experiment: str, entity_id: str | int, *, exposed: bool = True, exposure_id: str | None = None
    ) -> str | None:
        """Return the arm that an entity gets; see `Client.assign`."""
        return await asyncio.to_thread(
            self._client.assign, experiment, entity_id, exposed=exposed, exposure_id=exposure_id
        )

    async def feature_views(self) -> list[dict[str, Any]]:
        """Return what is online; see `Client.feature_views`."""
        return await asyncio.to_thread(self._client.feature_views)

    async def feature_view(self, name: str) -> dict[str, Any]:
        """Return what one view declares and holds online; see `Client.feature_view`."""
        return await asyncio.to_thread(self._client.feature_view, name)

    async def close(self) -> None:
        """Let go of the connections."""
        await asyncio.to_thread(self._client.close)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"assay.AsyncClient({self._client.url!r})"


def _instant(when: datetime | str | None) -> str | None:
    return when.isoformat() if isinstance(when, datetime) else when


def _json(body: Any) -> bytes:
    import orjson

    try:
        return orjson.dumps(body, default=_number, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise Fault(f"What is asked cannot be sent as JSON: {error}.", MISUSED) from error


def _number(value: Any) -> Any:
    """Return a decimal as a number with all its digits."""
    import orjson

    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{value!r} is of type {type(value).__name__}")
