"""Let other DuckDBs query what is published."""

from __future__ import annotations

import os
from threading import Event

from assay.api.folder import ProjectFolder


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
        from assay.query.serve import TOKEN, serve_queries

        with self.places() as places:
            published = places.published.absolute()
        with self.display() as display:
            try:
                token = os.environ.get(TOKEN)
                serve_queries(published, port=port, token=token, say=display.say, stop=stop or Event())
            except KeyboardInterrupt:
                display.say("Stopped")
