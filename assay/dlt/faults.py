"""Say in a sentence why a source of dlt failed, and what to do; nothing secret is repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from assay.core.fault import INTERRUPTED, MISUSED, Fault, extra_needed, known_fault
from assay.core.words import listed

# Addresses may carry a password, and what follows a question mark a key.
_PASSWORD = re.compile(r"(?<=://)[^/\s]+@")
_QUERY = re.compile(r"\?[^\s'\"]*=[^\s'\"]*")
_LONGEST = 300
_NOTHING_LANDED = "Nothing of this run has landed; the next one goes on from where the last ended."


def dlt_needed() -> AbstractContextManager[None]:
    """Raise a fault that names the extra, where dlt is not installed."""
    return extra_needed("dlt", by="Landing from a source of dlt")


@contextmanager
def faults_of_dlt(place: str) -> Iterator[None]:
    """Turn what goes wrong in dlt or in a source into a fault.

    Args:
        place: the source as people name it.

    Raises:
        Fault: the block failed.
    """
    try:
        yield
    except Fault:
        raise
    except KeyboardInterrupt as error:
        raise _interrupted(place) from error
    except Exception as error:
        raise _as_fault(place, error) from error


def _as_fault(place: str, error: BaseException) -> Fault:
    from dlt.common.configuration.exceptions import ConfigFieldMissingException

    chain = list(_causes(error))
    if any(isinstance(each, KeyboardInterrupt) for each in chain):
        return _interrupted(place)
    for each in chain:
        if isinstance(each, ConfigFieldMissingException):
            return _missing_configuration(place, each)
    for each in chain:
        if (response := getattr(each, "response", None)) is not None and hasattr(response, "status_code"):
            where = _without_secrets(str(response.url))
            return Fault(
                f"{place}: {where} answered {response.status_code} {response.reason or ''}".rstrip()
                + f". {_NOTHING_LANDED}"
            )
    cause = chain[-1]
    if isinstance(cause, ModuleNotFoundError):
        return Fault(
            f"{place} needs {cause.name}, which is not installed: pip install {cause.name}.", MISUSED
        )
    if known := next(filter(None, map(known_fault, chain)), None):
        return known
    return Fault(f"{place} failed: {type(cause).__name__}: {_without_secrets(str(cause))}\n{_NOTHING_LANDED}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it rests on, the first cause last."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _interrupted(place: str) -> Fault:
    return Fault(
        f"{place} was interrupted. What it had fetched whole lands with the next run; "
        "the rest is fetched anew.",
        INTERRUPTED,
    )


def _missing_configuration(place: str, error: Exception) -> Fault:
    traces = getattr(error, "traces", {})
    tried = [each for found in traces.values() for each in found]
    key = next((each.key for each in tried if "Environment" in getattr(each, "provider", "")), "")
    return Fault(
        f"{place} lacks configuration: {listed(list(traces))}. Set "
        + (f"the environment variable {key}, or " if key else "")
        + "it in .dlt/secrets.toml of the project, which belongs into no repository.",
        MISUSED,
    )


def _without_secrets(said: str) -> str:
    told = _QUERY.sub("?...", _PASSWORD.sub("", said.strip().partition("\n")[0]))
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."
