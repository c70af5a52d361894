"""Let other DuckDBs query what is published."""

from __future__ import annotations

import os
import secrets
from threading import Event

from assay.api.folder import ProjectFolder

_TOKEN = "ASSAY_QUERY_TOKEN"


class QueryServing(ProjectFolder):
    """A project whose published tables others query over the network."""

    def serve_queries(self, *, port: int = 9494, stop: Event | None = None) -> None:
        """Answer queries on what is published, by DuckDB's protocol Quack, until told to stop.

        Readers say the token in ASSAY_QUERY_TOKEN; without it one is made up and shown.

        Args:
            port: TCP port, of this machine's own address.
            stop: is set to end; without it somebody interrupts.

        Raises:
            Fault: nothing is published, the token is too short, the port is taken, or extra `query` is not
                installed.
        """
        from assay.query.serve import serve_queries

        token = os.environ.get(_TOKEN)
        with self.places() as places:
            published = places.published.absolute()
        with self.display() as display:
            if not token:
                token = secrets.token_urlsafe(24)
                display.say(f"{_TOKEN} is not set. The token of this server is {token}")
            try:
                serve_queries(published, port=port, token=token, say=display.say, stop=stop or Event())
            except KeyboardInterrupt:
                display.say("Stopped")
