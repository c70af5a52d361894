"""Files that are encrypted piece by piece: read back as written, and nothing else is taken for them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from assay.core.encryption import find_encryption_key
from assay.core.fault import Fault
from assay.core.sealed_content import (
    DamagedContent,
    create_content,
    find_content_key,
    has_end,
    open_content,
)

KEY, OTHER = "an invented key of 32 letters or more", "another invented key of 32 letters"
CONTENT = random.Random(0).randbytes(200_000)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSAY_ENCRYPTION_KEY_COMMAND", "ASSAY_ENCRYPTION_KEY_BEFORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)


def write(file: Path, content: bytes = CONTENT) -> Path:
    with create_content(file, find_encryption_key()) as stream:
        stream.write(content)
    return file


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
def test_what_is_written_is_read_back(tmp_path: Path, size: int) -> None:
    file = write(tmp_path / "a", CONTENT[:size])
    with open_content(file) as stream:
        assert stream.read() == CONTENT[:size]
        assert stream.seek(size // 2) == size // 2
        assert stream.read(100) == CONTENT[size // 2 : size][:100]
        assert stream.seek(0, os.SEEK_END) == size
    assert has_end(file)
    assert CONTENT[:16] not in file.read_bytes()


def test_the_same_content_is_encrypted_differently_each_time(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name).read_bytes() for name in "ab")
    assert one[16:] != other[16:]
    assert not {one[n : n + 16] for n in range(0, len(one), 16)} & {
        other[n : n + 16] for n in range(16, len(other), 16)
    }


def test_a_plain_file_is_read_as_it_is(tmp_path: Path) -> None:
    with create_content(tmp_path / "a", None) as stream:
        stream.write(CONTENT)
    assert (tmp_path / "a").read_bytes() == CONTENT
    with open_content(tmp_path / "a") as found:
        assert found.read() == CONTENT
    assert find_content_key(tmp_path / "a") is None


def test_the_key_before_reads_beside_the_key_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a")
    fingerprint = find_content_key(file)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    with pytest.raises(Fault, match="is encrypted with another key"):
        open_content(file)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", KEY)
    with open_content(file) as stream:
        assert stream.read() == CONTENT
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    with pytest.raises(Fault, match="is encrypted, and no key is set"):
        open_content(file)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    key = find_encryption_key()
    assert key
    assert fingerprint == key.fingerprint


def changed(content: bytes, change: str) -> bytes:
    header, piece = 32, 65_536 + 20
    return {
        "a bit": content[:70_000] + bytes([content[70_000] ^ 1]) + content[70_001:],
        "the end": content[:-20],
        "a part of the end": content[:-1],
        "all but the header": content[:header],
        "a part of the header": content[:20],
        "two pieces in the other order": content[:header]
        + content[header + piece : header + 2 * piece]
        + content[header : header + piece]
        + content[header + 2 * piece :],
        "a piece left out": content[: header + piece] + content[header + 2 * piece :],
        "a piece marked as the last": content[: header + 3] + b"\x80" + content[header + 4 :],
    }[change]


@pytest.mark.parametrize(
    "change",
    [
        "a bit",
        "the end",
        "a part of the end",
        "all but the header",
        "a part of the header",
        "two pieces in the other order",
        "a piece left out",
        "a piece marked as the last",
    ],
)
def test_what_was_changed_or_cut_off_is_told(tmp_path: Path, change: str) -> None:
    file = write(tmp_path / "a")
    file.write_bytes(changed(file.read_bytes(), change))
    with pytest.raises(DamagedContent, match="a is damaged"), open_content(file) as stream:
        stream.read()
    if "end" in change or "header" in change:
        assert not has_end(file)


def test_what_was_flushed_can_be_read_after_a_kill(tmp_path: Path) -> None:
    stream = create_content(tmp_path / "a", find_encryption_key())
    stream.write(b"first")
    stream.flush()
    stream.write(b"second")
    found = open_content(tmp_path / "a")
    assert found.read1(100) == b"first"
    with pytest.raises(DamagedContent):
        found.read1(100)
    found.close()
    stream.close()
