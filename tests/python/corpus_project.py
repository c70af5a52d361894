"""The small project with a corpus of made-up questions and answers, two for each order line."""

from __future__ import annotations

from pathlib import Path

from small_project import SmallProject, make_small_project
from training_project import succeed

NAME = "crp_questions"
# A text of words that no other line has; and the same for each line once more, with another word at its end.
_CORPUS = """
with words as (

    select
        order_line_id,
        available_at,
        list_aggregate(
            [md5(order_line_id || number)[:6] for number in range(80)], 'string_agg', ' '
        ) as question
    from {{ ref('fct_lines') }}

),

final as (

    select
        order_line_id || '-' || copy as document_id,
        question || ' ' || copy as instruction,
        'Ask jane@example.org about line ' || order_line_id as response,
        available_at
    from words
    cross join range(2) as copies (copy)

)

select * from final
"""
_MODELS = """
models:
  - name: crp_questions
    config:
      meta:
        corpus:
          evaluation: [evaluation.jsonl]
          splits: {train: 0.6, test: 0.4}
    constraints:
      - {type: primary_key, columns: [document_id]}
    columns:
      - {name: document_id, data_type: varchar}
      - {name: instruction, data_type: varchar, description: What is asked.}
      - {name: response, data_type: varchar}
      - {name: available_at, data_type: timestamp}
"""


def add_corpus(project: SmallProject) -> None:
    """Write the model of the corpus, and its evaluation set."""
    gold = project.root / "models" / "own" / "gold"
    (gold / f"{NAME}.sql").write_text(_CORPUS)
    (gold / "_corpora__models.yml").write_text(_MODELS)
    (project.root / "evaluation.jsonl").write_text('{"question": "Which one?"}\n')


def make_corpus_project(root: Path) -> SmallProject:
    """Write the project to `root`, build and publish it; nothing is taken of it yet."""
    project = make_small_project(root)
    add_corpus(project)
    project.land(5, *range(1, 41))
    succeed(project, "build")
    return project


def create_corpus(project: SmallProject, out: str, *options: str, shape: str = "instruct") -> str:
    """Create a version, write it to a folder, and return its name."""
    told = succeed(project, "corpus", "create", NAME, "--format", shape, "--out", out, *options)
    return next(word for line in told.splitlines() for word in line.split() if word.startswith(f"{NAME}@"))
