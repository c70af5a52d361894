"""An endpoint that makes embeddings as OpenAI's API does: those of providers, and of servers of one's own."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from assay.core.fault import MISUSED, Fault
from assay.embedding.maker import KEY_VARIABLE, VARIABLE, without_secrets
from assay.embedding.tokens import count_tokens
from assay.embedding.vectors import TextFault, Vectors, unit_vectors

_BATCH = 64
_TRIES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 10.0, 60.0
_MAX_TOKENS = 8191
# Of these a text can be the cause.
_TEXTS_REFUSED = (400, 413, 422)
_PROBE = "assay"
_LONGEST_REASON = 300


class Endpoint:
    """A model behind `POST .../embeddings`.

    What may pass is tried again: limits of the rate, errors of the server, and silence.

    Args:
        address: `https://HOST/v1#MODEL`; before the `#` may stand `?dimensions=N`, which asks for vectors of
            so many numbers and holds the endpoint to them, and `max_tokens=N`, what the model takes.
        key: sent as the bearer's token.

    Raises:
        Fault: the address names no host or no model, or it says something else; or the key is none.
    """

    def __init__(self, address: str, key: str | None) -> None:
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise _misused(address) from error
        asked = parse_qs(parts.query, keep_blank_values=True)
        self._declared = _whole_number(asked.pop("dimensions", None), address)
        self.max_tokens = _whole_number(asked.pop("max_tokens", None), address) or _MAX_TOKENS
        if asked or not parts.hostname or not parts.fragment or parts.username or parts.password:
            raise _misused(address)
        self.name = parts.fragment
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/embeddings"
        self._session = requests.Session()
        # Files of keys end in a line end.
        if key := (key or "").strip():
            if not (key.isascii() and key.isprintable()):
                raise Fault(f"{KEY_VARIABLE} holds characters that no key has: set it anew.", MISUSED)
            self._session.headers["Authorization"] = f"Bearer {key}"

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of address, model and dimension: all that is known of the model."""
        return hashlib.sha256(json.dumps([self._url, self.name, self.dimension]).encode()).hexdigest()

    @cached_property
    def dimension(self) -> int:
        """How many numbers a vector has: as declared, else as in a first answer."""
        return self._declared or len(self._probe())

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts.

        Raises:
            TextFault: the endpoint refuses texts, or a vector is not finite.
            Fault: the endpoint is away, slow or refuses the key, or its vectors are not what they are to be.
        """
        if any(not text.strip() for text in texts):
            raise TextFault("A text that is empty has no embedding.")
        found: list[Any] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            try:
                vectors = self._ask(batch)
            except TextFault:
                # An endpoint that refuses all texts is misused.
                self._probe()
                raise
            found.append(
                unit_vectors(
                    vectors, count=len(batch), dimension=self.dimension, maker=f"The endpoint {self._url}"
                )
            )
        import numpy as np

        return np.concatenate([np.empty((0, self.dimension), np.float32), *found])

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, about: an endpoint does not tell."""
        return count_tokens([text])[0]

    def _probe(self) -> list[float]:
        """Return the vector of a text that every model takes."""
        try:
            return self._ask([_PROBE])[0]
        except TextFault as refused:
            raise Fault(str(refused), MISUSED) from refused

    def _ask(self, texts: list[str]) -> list[list[float]]:
        asked: dict[str, Any] = {"model": self.name, "input": texts, "encoding_format": "float"}
        if self._declared:
            asked["dimensions"] = self._declared
        return self._vectors(self._send(asked), len(texts))

    def _send(self, asked: dict[str, Any]) -> requests.Response:
        pause, problem = _FIRST_PAUSE, ""
        for tries in range(_TRIES):
            if tries:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                # A redirect could lead the key to another host.
                answer = self._session.post(
                    self._url,
                    json=asked,
                    timeout=(_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER),
                    allow_redirects=False,
                )
            except requests.Timeout:
                problem = f"did not answer within {_SECONDS_TO_ANSWER:g} s"
                continue
            except requests.exceptions.SSLError as error:
                raise Fault(f"The endpoint {self._url} is not trusted: {error}", MISUSED) from error
            except requests.ConnectionError:
                problem = "cannot be reached"
                continue
            except requests.exceptions.ChunkedEncodingError:
                problem = "broke off its answer"
                continue
            except requests.RequestException as error:
                raise Fault(f"The endpoint {self._url} cannot be asked: {error}", MISUSED) from error
            if answer.status_code != 429 and answer.status_code < 500:
                return self._accepted(answer)
            problem = f"answers {answer.status_code}: {_reason(answer)}"
            pause = max(pause, min(_seconds(answer.headers.get("Retry-After")), _LONGEST_PAUSE))
        raise Fault(
            f"The endpoint {self._url} {problem} (tried {_TRIES} times). What is embedded until now is kept: "
            "start it, or wait, and build again."
        )

    def _accepted(self, answer: requests.Response) -> requests.Response:
        status = answer.status_code
        if status == 200:
            return answer
        if status in (401, 403):
            raise Fault(
                f"The endpoint {self._url} refuses the key ({status}): set {KEY_VARIABLE} to one that may "
                f"use the model {self.name}.",
                MISUSED,
            )
        said = f"The endpoint {self._url} answers {status} for the model {self.name}: {_reason(answer)}"
        if status in _TEXTS_REFUSED:
            raise TextFault(said)
        raise Fault(f"{said} Is {VARIABLE} right?", MISUSED)

    def _vectors(self, answer: requests.Response, count: int) -> list[list[float]]:
        try:
            # The standard library's reader takes NaN, of which is told below.
            rows = json.loads(answer.content)["data"]
            by_place = {row["index"]: row["embedding"] for row in rows}
            lengths = [len(vector) for vector in by_place.values() if isinstance(vector, list)]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise Fault(f"The endpoint {self._url} answers with something else than embeddings.") from error
        if len(rows) != count or len(lengths) != count or by_place.keys() != {*range(count)}:
            raise Fault(
                f"The endpoint {self._url} returned {len(lengths)} vectors for {count} texts, or not theirs."
            )
        return [by_place[place] for place in range(count)]


def _misused(address: str) -> Fault:
    return Fault(
        f"{VARIABLE}: {without_secrets(address)!r} is no address of an endpoint: write "
        "https://HOST/v1#MODEL, or https://HOST/v1?dimensions=N&max_tokens=N#MODEL; "
        f"the key goes to {KEY_VARIABLE}.",
        MISUSED,
    )


def _whole_number(values: list[str] | None, address: str) -> int | None:
    if values is None:
        return None
    if len(values) != 1 or not values[0].isdecimal() or int(values[0]) < 1:
        raise _misused(address)
    return int(values[0])


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0


def _reason(answer: requests.Response) -> str:
    """Return what an error says of itself."""
    try:
        found = json.loads(answer.content)
        found = found.get("error", found) if isinstance(found, dict) else found
        text = str(found.get("message", found)) if isinstance(found, dict) else str(found)
    except (ValueError, RecursionError):
        text = answer.text
    text = " ".join(text.split())[:_LONGEST_REASON]
    return text if text.endswith(".") else f"{text or 'no reason given'}."
