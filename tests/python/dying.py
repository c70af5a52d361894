"""Die at a chosen step: a kill at each step of something, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Steps:
    """Counts calls, and dies at the one after `left` of them."""

    def __init__(self) -> None:
        self.left = 0

    def counting(self, do: Callable[..., Any]) -> Callable[..., Any]:
        """Return `do`, each call of which is a step."""

        def step(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return do(*arguments, **named)

        return step
