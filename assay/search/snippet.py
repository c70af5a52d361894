"""The piece of a chunk that shows why it was found."""

from __future__ import annotations

from collections.abc import Sequence

Mark = tuple[int, int]
_LENGTH = 240
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def make_snippet(text: str, found: Sequence[tuple[int, int, str]]) -> tuple[str, list[Mark]]:
    """Return the piece of a text with the most terms, and where they stand in it.

    Args:
        text: a chunk's.
        found: begin, end and term of each word that was searched for, in their order.
    """
    begin, end = _window(text, found)
    shown = (_ELLIPSIS if begin else "") + text[begin:end] + (_ELLIPSIS if end < len(text) else "")
    moved = len(_ELLIPSIS if begin else "") - begin
    return shown, [
        (start + moved, stop + moved) for start, stop, _ in found if begin <= start and stop <= end
    ]


def _window(text: str, found: Sequence[tuple[int, int, str]]) -> tuple[int, int]:
    if len(text) <= _LENGTH:
        return 0, len(text)
    best, at = 0, 0
    for place, (start, _, _) in enumerate(found):
        within = [term for _, stop, term in found[place : place + _LENGTH] if stop <= start + _LENGTH]
        # Different terms say more than one that repeats.
        weight = len(set(within)) * _LENGTH + len(within)
        if weight > best:
            best, at = weight, start
    # A word before it tells how the sentence begins.
    begin = _begin_of_word(text, max(0, min(at - _LENGTH // 6, len(text) - _LENGTH)))
    end = min(begin + _LENGTH, len(text))
    space = text.rfind(" ", begin + _LENGTH // 2, end)
    return begin, space if end < len(text) and space > begin else end


def _begin_of_word(text: str, at: int) -> int:
    space = text.find(" ", at, at + _LENGTH // 6) if at else -1
    return at if space < 0 else space + 1
