"""Lines that no parser accepts, each unlike any other line."""

from random import Random

#: Longer than what identifies a line, so that two lines cut short never look the same.
_CUT_FROM = 60


def broken_json(rng: Random, line: str, identity: str) -> str:
    """A line cut short, a line with a quote lost, or plain text that only `identity` tells apart."""
    fault = rng.randrange(3)
    if fault == 0:
        return line[: rng.randrange(_CUT_FROM, len(line) - 1)]
    if fault == 1:
        return line.replace('":', ":", 1)
    return f"upstream connect error, request {identity}"
