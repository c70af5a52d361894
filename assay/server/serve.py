"""`assay serve`: start the workers."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import tempfile
from pathlib import Path

import uvicorn

from assay.console.progress import Display
from assay.core.fault import FAILED, MISUSED, Fault, extra_needed
from assay.core.places import Places
from assay.online.stores.open import open_store, store_url
from assay.online.stores.store import StoreUnavailable
from assay.server.audit import Audit
from assay.server.keys import KeyRing
from assay.server.settings import MULTIPROCESS, Settings

# Programs that call over gRPC make their client of it.
PROTO = Path(__file__).with_name("online_features.proto")
_SECONDS_TO_FINISH = 10
# On the list of "bad ports" of the Fetch standard; programs other than browsers do not mind.
_REFUSED_BY_BROWSERS = (6566,)


def serve(
    places: Places,
    *,
    host: str,
    port: int,
    workers: int,
    store: str | None,
    with_keys: bool,
    requests_per_second: float,
    megabytes_per_hour: float,
    grpc_port: int | None,
    display: Display,
) -> None:
    """Serve until the process is told to stop; what is under way then is finished.

    Args:
        places: of the project.
        host: the address to listen at. At any but this machine's own, API keys are needed.
        port: TCP port; 0 for any that is free.
        workers: processes.
        store: its URL, None for the default.
        with_keys: whether API keys are needed at this machine's own address too.
        requests_per_second: how many each worker takes of one key.
        megabytes_per_hour: of predictions, how many each worker keeps of one key.
        grpc_port: TCP port for calls of gRPC, if they are to be served too.
        display: shown what people should know.

    Raises:
        Fault: the address cannot be listened at, keys are needed and there are none, the folder for the audit
            log cannot be written, or what is online is hashed with another key than ASSAY_PII_KEY.
    """
    url = store_url(store, places)
    opened = open_store(url)
    folder = places.serving
    with_keys = with_keys or not _is_loopback(host)
    if with_keys and not any(key.state == "valid" for key in KeyRing(folder).keys):
        raise Fault(
            f"At {host} an API key is asked for, and there is none: assay keys create NAME --views VIEW,...",
            MISUSED,
        )
    if not _is_loopback(host):
        display.say("Warning: keys and features travel in clear: put a proxy that speaks HTTPS in front.")
    if not with_keys:
        display.say(
            f"Warning: no API key is asked for at {host}: every program of this machine can read all."
        )
    Settings(
        url,
        folder,
        places.docs,
        places.landing,
        places.ahead,
        places.search,
        places.deleted_documents,
        with_keys=with_keys,
        requests_per_second=requests_per_second,
        prediction_bytes_per_hour=int(megabytes_per_hour * (1 << 20)),
        grpc=_grpc_address(host, grpc_port),
    ).to_environment()
    _check_folder(folder)
    _check_address(host, port, "--port")
    if grpc_port is not None:
        if grpc_port == port:
            raise Fault(f"--grpc-port {port} is that of HTTP: choose another.", MISUSED)
        _check_address(host, grpc_port, "--grpc-port")
    if port in _REFUSED_BY_BROWSERS:
        display.say(f"Browsers refuse port {port}: for the page, choose another, such as --port 8566.")
    try:
        catalog = opened.catalog()
        for view in catalog.values():
            view.find_key()
        if not catalog:
            display.say(f"Warning: {opened.url} holds no feature views yet. To fill it: assay build")
    except StoreUnavailable as error:
        display.say(f"Warning: {error}")
    display.say(
        f"Serving {opened.url} at http://{host}:{port}, workers: {workers}; the API is described at /docs"
    )
    if grpc_port is not None:
        display.say(f"Serving gRPC at {_grpc_address(host, grpc_port)}, by {PROTO}")
    with tempfile.TemporaryDirectory(prefix="assay-metrics-") as figures:
        if workers > 1:
            os.environ[MULTIPROCESS] = figures
        uvicorn.run(
            "assay.server.app:app_from_environment",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_folder(folder: Path) -> None:
    """Try the audit log first: no worker starts without it."""
    try:
        Audit(folder).close()
    except OSError as error:
        raise Fault(
            f"{folder} cannot be written ({error.strerror}), and the audit log is kept there: make it "
            "writable, or name another place for the warehouse in ASSAY_WAREHOUSE."
        ) from error


def _grpc_address(host: str, port: int | None) -> str:
    """Return the address for calls of gRPC; empty where there is none.

    Raises:
        Fault: a package that is needed is not installed.
    """
    if port is None:
        return ""
    with extra_needed("grpc", by="Serving gRPC"):
        import grpc  # noqa: F401
        import grpc_health.v1.health_pb2  # noqa: F401
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_address(host: str, port: int, port_option: str) -> None:
    """Try the address first: what workers say of it reaches nobody."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            option = port_option if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
            raise Fault(
                f"{host}:{port} cannot be listened at ({error.strerror}): choose another with {option}.",
                FAILED,
            ) from error
