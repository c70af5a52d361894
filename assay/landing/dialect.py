"""The dialect of CSV files: delimiter, quote, encoding and signs of numbers, as a contract declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

DECIMALS = (".", ",")
#: The signs that may group a number's digits by threes, each with the characters that people type for it.
THOUSANDS: Mapping[str, str] = {
    ".": ".",
    ",": ",",
    " ": " \u00a0\u202f",
    "'": "'\u2019",
}


@dataclass(frozen=True)
class Dialect:
    """How the CSV files of a table are written; `quote` or `thousands` is empty if files use none."""

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str = ""

    @property
    def declared(self) -> dict[str, str]:
        """The fields that a contract must declare: those that differ from the default."""
        return {name: value for name, value in asdict(self).items() if value != getattr(DEFAULT, name)}


DEFAULT = Dialect()
_KEYS = tuple(field.name for field in fields(Dialect))


def dialect_of(declared: object) -> Dialect:
    """Read a dialect as contracts and YAML declare it.

    Args:
        declared: a mapping with some of a dialect's fields; None gives the default dialect.

    Raises:
        ValueError: the dialect is wrong; callers put the place before the message.
    """
    if declared is None:
        return DEFAULT
    if not isinstance(declared, Mapping):
        raise ValueError(f"{declared!r} is no mapping: write {{delimiter: ';'}}.")
    if strange := [str(key) for key in declared if key not in _KEYS]:
        raise ValueError(f"it has {', '.join(strange)}; it may have {', '.join(_KEYS[:-1])} and {_KEYS[-1]}.")
    said = {key: "" if value is None else value for key, value in declared.items()}
    for key, value in said.items():
        if not isinstance(value, str):
            raise ValueError(f"{key} is {value!r}, which is no text: write it in quotes.")
    found = Dialect(**said)
    for name in ("delimiter", "quote"):
        _check_sign(name, getattr(found, name))
    if not found.delimiter:
        raise ValueError("delimiter is empty: write one character.")
    if found.delimiter == found.quote:
        raise ValueError(f"delimiter and quote are both {found.delimiter!r}: they must differ.")
    if found.decimal not in DECIMALS:
        raise ValueError(f"decimal is {found.decimal!r}: it must be '.' or ','.")
    if found.thousands and found.thousands not in THOUSANDS:
        listed = ", ".join(map(repr, THOUSANDS))
        raise ValueError(f"thousands is {found.thousands!r}: it must be one of {listed}, or be left out.")
    if found.decimal == found.thousands:
        raise ValueError(f"decimal and thousands are both {found.decimal!r}: they must differ.")
    try:
        # Codecs that do not encode texts, such as base64, are refused as well.
        "\n".encode(found.encoding)
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"encoding is {found.encoding!r}, which Python does not know: "
            "write utf-8, utf-16, windows-1252 or another."
        ) from error
    return found


def number_pattern(decimal: str, thousands: str) -> str:
    """Return a regular expression, for RE2 and Python, of the texts that are numbers in a dialect.

    Thousands never begin with 0: the comma in `0,672` is a decimal sign, whatever else it could be.
    """
    whole = "[0-9]+"
    if thousands:
        whole = f"(?:{whole}|[1-9][0-9]{{0,2}}(?:[{THOUSANDS[thousands]}][0-9]{{3}})+)"
    digits = f"(?:{whole}(?:[{decimal}][0-9]*)?|[{decimal}][0-9]+)"
    return rf"\s*[+-]?{digits}(?:[eE][+-]?[0-9]+)?\s*"


def _check_sign(name: str, sign: str) -> None:
    if len(sign) > 1:
        raise ValueError(f"{name} is {sign!r}: it must be one character.")
    if sign and (sign.isalnum() or sign in "\r\n\0" or (sign == " " and name == "quote")):
        raise ValueError(f"{name} is {sign!r}, which values or lines are made of: write another.")
