"""Convert formats of times from contracts (Java's DateTimeFormatter) to DuckDB's strptime."""

from __future__ import annotations

import re

from assay.core.sql import text

#: Formats that count from 1970, for which DateTimeFormatter has no letters.
EPOCHS = ("epoch_seconds", "epoch_milliseconds")
# Letters of a format, and DuckDB's specifiers for them; DuckDB accepts one digit where two are meant.
_DIRECTIVES = {
    **dict.fromkeys(("yyyy", "uuuu"), "%Y"),
    **dict.fromkeys(("yy", "uu"), "%y"),
    **dict.fromkeys(("MM", "M"), "%m"),
    "MMM": "%b",
    "MMMM": "%B",
    **dict.fromkeys(("dd", "d"), "%d"),
    **dict.fromkeys(("E", "EE", "EEE"), "%a"),
    "EEEE": "%A",
    **dict.fromkeys(("HH", "H"), "%H"),
    **dict.fromkeys(("hh", "h"), "%I"),
    "a": "%p",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%g",
    "SSSSSS": "%f",
    **dict.fromkeys(("X", "XX", "XXX", "x", "xx", "xxx", "Z"), "%z"),
}
_OF_A_DAY = ("%Y%y", "%m%b%B", "%d")
_OF_A_CLOCK = ("%H", "%I", "%M", "%S", "%p", "%g", "%f", "%z")
_PARTS = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']")
#: A pattern for the end of a text with an offset that no place on Earth has.
WRONG_OFFSET = r"[+-](19|[2-9]\d|18:?(0[1-9]|[1-5]\d)|\d\d:?[6-9]\d)(:?\d\d)?\s*$"
_PACKED = re.compile("%[YymdHIMS]%[YymdHIMSgf]")


def duckdb_format(declared: object, logical_type: str) -> str:
    """Convert a contract's format of times to DuckDB's strptime; the formats in EPOCHS stay as they are.

    Args:
        declared: the format in the contract, such as `dd.MM.yyyy HH:mm`.
        logical_type: `date` or `timestamp`.

    Raises:
        ValueError: DuckDB cannot read times by it; callers put the format before the message.
    """
    if not isinstance(declared, str) or not declared:
        raise ValueError("it is no text. Write one such as dd.MM.yyyy.")
    if declared in EPOCHS:
        if logical_type == "date":
            raise ValueError("a date is no count since 1970. Write logicalType: timestamp.")
        return declared
    found, end = "", 0
    for part in _PARTS.finditer(declared):
        if part.start() != end:
            break
        end = part.end()
        if part[1] is not None:
            found += part[1].replace("''", "'").replace("%", "%%") or "'"
        elif part[2]:
            if part[0] not in _DIRECTIVES:
                raise ValueError(
                    f"{part[0]} is not read here. Write years as yyyy or yy, months as MM or MMM, "
                    "days as dd, hours as HH (or hh with a), minutes as mm, seconds as ss, "
                    "parts of them as SSS or SSSSSS, offsets as XXX, and other letters in quotes, "
                    f"such as 'T'; or {' or '.join(EPOCHS)}."
                )
            found += _DIRECTIVES[part[0]]
        else:
            found += part[0].replace("%", "%%")
    if end != len(declared):
        raise ValueError("a quote in it is not closed.")
    has = set(re.findall("%[A-Za-z]", found))
    if not all(has & set(re.findall("%.", each)) for each in _OF_A_DAY):
        raise ValueError("it needs a year, a month and a day.")
    if re.search("%[Yy].*%d.*%[mbB]", found):
        raise ValueError("behind the year stands the month, or ISO 8601 would be read by it in part.")
    if logical_type == "date" and has & set(_OF_A_CLOCK):
        raise ValueError("a date has no time of day. Write logicalType: timestamp.")
    if ("%I" in has) != ("%p" in has):
        raise ValueError("hours are hh with a, or HH without.")
    return found


def time_by_format(value: str, duckdb: str) -> str:
    """Return SQL that reads a text by a format as an instant, as silver does; NULL if it does not match.

    Args:
        value: a SQL expression of type text.
        duckdb: the format as `duckdb_format` returns it.
    """
    if duckdb in EPOCHS:
        digits, factor = (11, 1_000_000) if duckdb == EPOCHS[0] else (14, 1_000)
        return (
            rf"case when regexp_full_match({value}, '\s*-?[0-9]{{1,{digits}}}\s*') "
            f"then make_timestamp(try_cast({value} as bigint) * {factor}) end"
        )
    # DuckDB's strptime accepts too much: two digits for a year of four, words such as infinity, offsets of
    # any size, and one digit for two even without separators. It does not accept the offset Z.
    told, conditions = value, [rf"regexp_matches({value}, '[0-9]')"]
    if duckdb.endswith("%z"):
        told = rf"regexp_replace({value}, 'Z\s*$', '+00')"
        conditions.append(rf"not regexp_matches({value}, '{WRONG_OFFSET}')")
    if _PACKED.search(duckdb):
        width = len(duckdb.replace("%Y", "yyyy").replace("%g", "SSS").replace("%f", "SSSSSS"))
        conditions.append(f"length(trim({value})) = {width}")
    parsed = f"make_timestamp(epoch_us(try_strptime({told}, {text(duckdb)})))"
    conditions.append(f"{parsed} >= timestamp '1000-01-01'")
    return f"case when {' and '.join(conditions)} then {parsed} end"
