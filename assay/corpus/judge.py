"""Judge texts one after the other: each is kept, or left out for a reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.corpus.copies import Copies, Copy
from assay.corpus.declared import Settings
from assay.corpus.evaluation import EvaluationTexts
from assay.corpus.personal import mask
from assay.corpus.quality import Measures, broken_limits, measure
from assay.corpus.shapes import Shape, texts_of
from assay.corpus.splits import split_of

KEPT = "kept"


@dataclass
class Judged:
    """A row with what was found of it: it is kept unless it breaks a rule.

    `source` has the row's values, and `content` the same in the shape of the corpus; both are masked. `copy`
    and `evaluation` say what the text is a copy of, and in which evaluation set a part of it stands.
    """

    source: dict[str, Any]
    document: str | None
    broken: list[str]
    content: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    measures: Measures = field(default_factory=lambda: Measures(0))
    masked: Counter[str] = field(default_factory=Counter)
    evaluation: str | None = None
    copy: Copy | None = None
    tokens: int | None = None
    split: str | None = None

    @property
    def outcome(self) -> str:
        """`kept`, or the first rule that it breaks."""
        return self.broken[0] if self.broken else KEPT

    def content_as_json(self) -> str | None:
        """Return what was left out, as JSON; None for a row that is kept."""
        if not self.broken:
            return None
        # JSON may hold halves of characters, which no file can.
        return json.dumps(self.source, ensure_ascii=False, default=str).encode(errors="replace").decode()


@dataclass(frozen=True)
class Judge:
    """Judges rows in their order; copies are told of kept rows before them."""

    settings: Settings
    shape: Shape
    personal: Sequence[str]
    evaluation: EvaluationTexts
    copies: Copies
    count_tokens: Callable[[Sequence[str]], list[int]]
    is_split: bool

    def judge(self, first: int, rows: Sequence[Mapping[str, Any]]) -> Iterator[Judged]:
        """Yield the rows, judged.

        Args:
            first: the number of the first row.
            rows: values by column.
        """
        judged = [self._read(row) for row in rows]
        fit = [(first + place, each.text) for place, each in enumerate(judged) if not each.broken]
        for (number, _), copy in zip(fit, self.copies.find(fit), strict=True):
            if copy:
                each = judged[number - first]
                each.copy = copy
                each.broken.append("exact_duplicate" if copy.is_exact else "near_duplicate")
        kept = [each for each in judged if not each.broken]
        texts = [list(texts_of(each.content)) for each in kept]
        counts = iter(self.count_tokens([text for row in texts for text in row]))
        for each, row in zip(kept, texts, strict=True):
            each.tokens = sum(next(counts) for _ in row)
            if self.is_split and each.document is not None:
                each.split = split_of(each.document, self.settings.splits)
        yield from judged

    def _read(self, row: Mapping[str, Any]) -> Judged:
        """Mask a row and look at it alone."""
        masked: Counter[str] = Counter()
        known = {name: row[name] for name in self.personal}
        source = {name: mask(self.shape.value_of(name, row), known, masked) for name in self.shape.read}
        document = row[self.settings.document]
        broken = [f"no_{name}" for name in (self.settings.document, "available_at") if row[name] is None]
        content, faults = self.shape.content_of(source)
        judged = Judged(source, None if document is None else str(document), broken + faults, masked=masked)
        if faults:
            return judged
        judged.content, judged.text = content, "\n".join(texts_of(content))
        judged.measures = measure(judged.text, self.settings.quality)
        judged.broken += broken_limits(judged.measures, self.settings.quality)
        if "too_long" not in judged.broken and (found := self.evaluation.find(judged.text)):
            judged.evaluation = found
            judged.broken.append("evaluation")
        return judged
