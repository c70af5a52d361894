"""What `assay training-set export` writes loads in Hugging Face `datasets`, whole and by several readers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from corpus_project import create_corpus
from small_project import SmallProject
from training_project import ROWS, comparable, create, edit, exported, rows_of, succeed

# A folder that holds rows to test with is not named train.
WHOLE = "all_splits"
FORMATS = ("parquet", "arrow", "csv", "jsonl")
SHARDS = 4
READERS = 2


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, which looks at the environment when it is imported: offline, with a cache of its own."""
    cache = tmp_path_factory.mktemp("hugging_face")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(cache))
        patch.setenv("HF_DATASETS_CACHE", str(cache / "datasets"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        library = importlib.import_module("datasets")
        importlib.import_module("datasets.distributed")
        assert library.config.HF_HUB_OFFLINE
        assert Path(library.config.HF_DATASETS_CACHE).parent == cache
        yield library


@pytest.fixture(scope="module")
def folders(built_training: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same version in shards of each format."""
    out = tmp_path_factory.mktemp("exported")
    return {
        name: exported(built_training, str(out / name), "--format", name, "--shards", str(SHARDS))
        for name in FORMATS
    }


def as_loaded(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row, without what the format has no word for."""
    match name:
        case "csv":
            # pandas, which reads it, cannot tell an empty text from NULL.
            return {key: None if value == "" else value for key, value in row.items()}
        case "jsonl":
            return {key: None if value != value else value for key, value in row.items()}
    return row


@pytest.fixture(scope="module")
def files(folders: dict[str, Path]) -> list[list[dict[str, Any]]]:
    """The rows of each shard, in order; they are the same in each format."""
    return [pq.read_table(file).to_pylist() for file in sorted(folders["parquet"].glob("*.parquet"))]


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_loads_whole_with_types_and_values(
    name: str, datasets: Any, folders: dict[str, Path], built_training: SmallProject
) -> None:
    loaded = datasets.load_dataset(str(folders[name]))
    assert list(loaded) == [WHOLE]
    rows = rows_of(built_training)
    assert loaded[WHOLE].column_names == list(rows[0])
    assert (
        loaded[WHOLE].features.arrow_schema.types
        == pq.read_schema(next(folders["parquet"].glob("*00000-of*"))).types
    )
    assert sorted(comparable(list(loaded[WHOLE]))) == sorted(
        comparable([as_loaded(name, row) for row in rows])
    )


@pytest.mark.parametrize("name", FORMATS)
def test_rows_are_read_by_their_number(
    name: str, datasets: Any, folders: dict[str, Path], files: list[list[dict[str, Any]]]
) -> None:
    loaded = datasets.load_dataset(str(folders[name]), split=WHOLE)
    assert len(loaded) == ROWS
    rows = [as_loaded(name, row) for file in files for row in file]
    assert comparable([loaded[number] for number in range(ROWS)]) == comparable(rows)


@pytest.mark.parametrize("side_by_side", ["workers", "nodes"])
@pytest.mark.parametrize("name", FORMATS)
def test_readers_side_by_side_read_files_of_their_own(
    name: str,
    side_by_side: str,
    datasets: Any,
    folders: dict[str, Path],
    files: list[list[dict[str, Any]]],
) -> None:
    streamed = datasets.load_dataset(str(folders[name]), split=WHOLE, streaming=True)
    assert streamed.num_shards == SHARDS
    shards = [comparable([as_loaded(name, row) for row in file]) for file in files]

    def part(number: int) -> Any:
        if side_by_side == "workers":
            return streamed.shard(num_shards=READERS, index=number)
        return datasets.distributed.split_dataset_by_node(streamed, rank=number, world_size=READERS)

    read = [comparable(list(part(number))) for number in range(READERS)]
    for rows in read:
        whole = [shard for shard in shards if shard[0] in rows]
        assert len(whole) == SHARDS // READERS
        assert rows == [row for shard in whole for row in shard]
    assert sorted(read[0] + read[1]) == sorted(row for shard in shards for row in shard)


def test_a_split_is_loaded_under_its_name(datasets: Any, training: SmallProject) -> None:
    edit(training, "trn_lines", "then 'test'", "then 'hold-out'")
    succeed(training, "build")
    folder = exported(training, "out", "--split", "hold-out", "--format", "csv", version=create(training))
    loaded = datasets.load_dataset(str(folder))
    # The library's names have no hyphens.
    assert {split: len(rows) for split, rows in loaded.items()} == {"hold_out": 4}


@pytest.mark.parametrize("name", ["parquet", "arrow", "jsonl"])
def test_lists_are_loaded(name: str, datasets: Any, built_training: SmallProject, tmp_path: Path) -> None:
    options = ("--format", name, "--shards", "3")
    folder = exported(built_training, str(tmp_path / "out"), *options, version="trn_lists")
    loaded = datasets.load_dataset(str(folder), split="train")
    found = {row["line_id"]: row for row in loaded}
    assert len(loaded) == len(found)
    assert found == {row["line_id"]: row for row in rows_of(built_training, "trn_lists@")}


@pytest.mark.parametrize("shape", ["instruct", "chat"])
def test_a_corpus_loads_with_its_splits(
    shape: str, datasets: Any, built_corpus: SmallProject, tmp_path: Path
) -> None:
    options = ("--split", "--shards", "2", "--compress", "gz")
    version = create_corpus(built_corpus, str(tmp_path / shape), *options, shape=shape)
    loaded = datasets.load_dataset(str(tmp_path / shape))
    rows = rows_of(built_corpus, version)
    for split in ("train", "test"):
        own = {"instruct": ("instruction", "response"), "chat": ("messages",)}[shape]
        expected = [{name: row[name] for name in own} for row in rows if row["split"] == split]
        assert sorted(loaded[split], key=str) == sorted(expected, key=str)
    assert set(loaded) == {"train", "test"}
