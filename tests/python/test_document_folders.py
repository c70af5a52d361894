"""Folders of documents land: what is new, has changed or is gone, and what cannot be read."""

from __future__ import annotations

import errno
import gzip
import json
import os
import tomllib
import tracemalloc
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from assay.api.project import open_project
from assay.console.tables import PlainConsole
from assay.core.fault import Fault
from assay.documents import extract
from assay.documents import land as land_module
from assay.documents.display import print_landed_folder
from assay.documents.extract import Extracted, extract_text
from assay.documents.land import LandedFolder, land_folder

NOW = datetime(2026, 3, 1, 12)
HTML = """<html><head><title>Costs &amp; fees</title><style>p {}</style></head><body><nav>Home</nav>
<h1>Costs</h1><script>track()</script><p>Two <b>pounds</b>.</p><table><tr><th>a</th></tr><tr><td>1</td></tr>
</table></body></html>"""


def pdf(text: str) -> bytes:
    """A page with a line of text, of the title `Returns`."""
    writer = PdfWriter()
    page = writer.add_blank_page(99, 99)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    fonts = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    page[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/Font"): DictionaryObject({NameObject("/F"): fonts})}
    )
    content = StreamObject()
    content.set_data(f"BT /F 9 Tf 9 9 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = content
    writer.add_metadata({"/Title": "Returns"})
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    write(folder / "returns.md", "# Returns\n\nThirty days.\n")
    write(folder / "costs" / "fees.txt", "Two pounds.")
    return folder


class NoSuchYear(datetime):
    """A clock that knows no such year, as of a file that says it is of the year 60,000."""

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: Any = None) -> Any:
        raise ValueError(f"year of {timestamp} is out of range")


def write(file: Path, text: str | bytes, written_at: datetime = datetime(2026, 1, 1)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    moment = written_at.replace(tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))


def land(folder: Path, minutes: int = 0) -> LandedFolder:
    return land_folder(folder, "handbook", folder.parent / "landing", NOW + timedelta(minutes=minutes))


def lines_of(landed: LandedFolder) -> list[dict[str, object]]:
    assert landed.file is not None
    return [json.loads(line) for line in gzip.open(landed.file, "rt")]


def test_each_document_lands_as_a_line(folder: Path) -> None:
    landed = land(folder)
    assert landed.new == ["returns.md", "costs/fees.txt"]
    assert lines_of(landed) == [
        {
            "document_id": "handbook/returns.md",
            "source": "handbook",
            "updated_at": "2026-01-01T00:00:00.000000Z",
            "title": "Returns",
            "body": "# Returns\n\nThirty days.\n",
            "tags": [],
        },
        {
            "document_id": "handbook/costs/fees.txt",
            "source": "handbook",
            "updated_at": "2026-01-01T00:00:00.000000Z",
            "title": "fees",
            "body": "Two pounds.",
            "tags": ["costs"],
        },
    ]
    file = landed.file
    assert file is not None
    assert file.relative_to(folder.parent / "landing").parts[:2] == ("docs", "documents")


def test_what_has_not_changed_does_not_land_again(folder: Path) -> None:
    land(folder)
    write(folder / "returns.md", (folder / "returns.md").read_bytes(), NOW)
    again = land(folder, 1)
    assert (again.file, again.new, again.changed, again.unchanged) == (None, [], [], 2)


def test_changes_and_deletions_land(folder: Path) -> None:
    land(folder)
    write(folder / "returns.md", "Forty days.", NOW - timedelta(minutes=1))
    (folder / "costs" / "fees.txt").unlink()
    landed = land(folder, 1)
    assert (landed.new, landed.changed, landed.deleted, landed.unchanged) == (
        [],
        ["returns.md"],
        ["costs/fees.txt"],
        0,
    )
    changed, deleted = lines_of(landed)
    assert (changed["body"], changed["updated_at"]) == ("Forty days.", "2026-03-01T11:59:00.000000Z")
    assert deleted == {
        "document_id": "handbook/costs/fees.txt",
        "source": "handbook",
        "updated_at": "2026-03-01T12:01:00.000000Z",
        "deleted": True,
    }
    assert land(folder, 2).file is None


@pytest.mark.parametrize("written_at", [datetime(2020, 1, 1), datetime(2030, 1, 1)])
def test_a_version_is_later_than_the_one_before_it(folder: Path, written_at: datetime) -> None:
    """Copies keep old times, and clocks run ahead; the order in which versions landed stands all the same."""
    land(folder)
    write(folder / "returns.md", "Forty days.", written_at)
    assert lines_of(land(folder, 1))[0]["updated_at"] == "2026-03-01T12:01:00.000000Z"
    (folder / "returns.md").unlink()
    land(folder, 2)
    write(folder / "returns.md", "# Returns\n\nThirty days.\n", written_at)
    assert lines_of(land(folder, 3))[0]["updated_at"] == "2026-03-01T12:03:00.000000Z"


def test_what_cannot_be_read_lands_with_the_reason_and_stops_nothing(folder: Path) -> None:
    for name, content in {
        "broken.pdf": b"%PDF-1.4 no",
        "noise.txt": bytes(range(256)),
        "a.png": b"x",
    }.items():
        write(folder / name, content)
    landed = land(folder)
    assert set(landed.unreadable) == {"broken.pdf", "noise.txt"}
    assert landed.passed_over == ["a.png"]
    problems = {line["document_id"]: line for line in lines_of(landed) if "problem" in line}
    assert problems["handbook/noise.txt"]["problem"] == "it is no text in an encoding that can be told"
    assert "body" not in problems["handbook/broken.pdf"]
    assert len(lines_of(landed)) == 4


def test_names_that_begin_with_an_underscore_are_told_and_those_with_a_dot_are_hidden(folder: Path) -> None:
    for name in ("_index.md", "_drafts/a.md", "costs/_old.txt", ".git/a.md", ".b.md"):
        write(folder / name, "Text.")
    landed = land(folder)
    assert (landed.new, landed.passed_over) == (
        ["returns.md", "costs/fees.txt"],
        ["_index.md", "_drafts", "costs/_old.txt"],
    )


def test_what_was_landed_is_told_in_words(folder: Path) -> None:
    def told(landed: LandedFolder) -> str:
        with StringIO() as out:
            print_landed_folder(landed, True, PlainConsole(file=out, width=300))
            return out.getvalue().splitlines()[0]

    assert told(land(folder)).startswith("handbook: 2 new. Landed ")
    assert told(land(folder, 1)) == "handbook: 2 unchanged. Nothing landed."
    for name in ("returns.md", "costs/fees.txt"):
        (folder / name).unlink()
    assert told(land(folder, 2)).startswith("handbook: 2 deleted. Landed ")
    assert told(land(folder, 3)) == "handbook: Nothing landed."


def test_landings_of_one_second_are_told_apart(folder: Path) -> None:
    first = land_folder(folder, "handbook", folder.parent / "landing", NOW + timedelta(milliseconds=100))
    write(folder / "returns.md", "Forty days.", NOW + timedelta(milliseconds=200))
    second = land_folder(folder, "handbook", folder.parent / "landing", NOW + timedelta(milliseconds=300))
    assert first.file is not None
    assert second.file is not None
    assert first.file.parent.name == "landed_at=2026-03-01T12-00-00"
    assert second.file.parent.name == "landed_at=2026-03-01T12-00-01"
    assert lines_of(first)[0]["updated_at"] < lines_of(second)[0]["updated_at"]  # type: ignore[operator]


def test_a_process_that_ends_between_lines_and_state_lands_the_same_lines(folder: Path) -> None:
    first = land(folder)
    (folder.parent / "landing" / "_documents" / "handbook.json").unlink()
    assert lines_of(land(folder, 1)) == lines_of(first)


@pytest.mark.parametrize("step", ["write_state 1", "write_lines", "write_state 2"])
def test_what_a_killed_landing_may_have_landed_lands_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Also where each file is by then as it was before: what landed of it is no longer so."""
    land(folder)
    before = {file: file.read_bytes() for file in folder.rglob("*.*")}
    name, _, which = step.partition(" ")
    works, calls = getattr(land_module, name), []

    def killed(*arguments: Any) -> Any:
        calls.append(1)
        # After the lines, and before the state.
        found = works(*arguments) if name == "write_lines" or len(calls) < int(which) else None
        if name == "write_lines" or len(calls) == int(which):
            raise KeyboardInterrupt
        return found

    write(folder / "new.md", "New.")
    write(folder / "returns.md", "Forty days.")
    (folder / "costs" / "fees.txt").unlink()
    monkeypatch.setattr(land_module, name, killed)
    with pytest.raises(KeyboardInterrupt):
        land(folder, 1)
    monkeypatch.undo()
    (folder / "new.md").unlink()
    for file, content in before.items():
        write(file, content)
    land(folder, 1)
    last = {}
    for file in sorted((folder.parent / "landing" / "docs" / "documents").glob("*/*")):
        for line in map(json.loads, gzip.decompress(file.read_bytes()).splitlines()):
            assert line["updated_at"] > last.get(line["document_id"], {"updated_at": ""})["updated_at"]
            last[line["document_id"]] = line
    assert last["handbook/returns.md"]["body"] == "# Returns\n\nThirty days.\n"
    assert last["handbook/costs/fees.txt"]["body"] == "Two pounds."
    assert last.get("handbook/new.md", {"deleted": True})["deleted"]
    assert land(folder, 2).file is None


def test_a_landing_holds_one_text_at_a_time(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / "handbook" / f"{number}.txt", f"{number} " * 300_000)
    tracemalloc.start()
    try:
        landed = land(tmp_path / "handbook")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(landed.new) == 20
    assert peak < 8_000_000


def test_a_damaged_state_is_told(folder: Path) -> None:
    land(folder)
    state = folder.parent / "landing" / "_documents" / "handbook.json"
    state.write_text("{")
    with pytest.raises(Fault, match=r"is damaged.*remove it"):
        land(folder, 1)


def test_what_is_no_file_and_what_is_away_lands_with_the_reason_once(folder: Path) -> None:
    """A pipe is not waited for, a link to nowhere stops nothing, and what was there before is not deleted."""
    os.mkfifo(folder / "pipe.md")
    (folder / "away.md").symlink_to(folder.parent / "elsewhere.md")
    (folder / "loop").symlink_to(folder)
    landed = land(folder)
    assert landed.unreadable == {
        "away.md": "it cannot be read: No such file or directory",
        "pipe.md": "it is no file that holds anything",
    }
    assert landed.passed_over == ["loop"]
    assert (len(landed.new), land(folder, 1).file) == (4, None)
    write(folder.parent / "elsewhere.md", "It is back.")
    [back] = lines_of(land(folder, 2))
    assert (back["document_id"], back["body"]) == ("handbook/away.md", "It is back.")


def test_a_link_that_leads_where_nobody_may_look_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "hidden.md").symlink_to("/proc/1/elsewhere/hidden.md")
    asked = Path.stat

    def refused(path: Path, **options: Any) -> Any:
        if path.name == "hidden.md" and options.get("follow_symlinks", True):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return asked(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    landed = land(folder)
    assert landed.unreadable == {"hidden.md": "it cannot be read: Permission denied"}
    assert len(landed.new) == 3


def test_a_folder_that_cannot_be_listed_deletes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(folder)
    listed = os.scandir

    def refused(path: str) -> Any:
        if str(path).endswith("costs"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(Fault, match=r"costs cannot be listed \(Permission denied\)"):
        land(folder, 1)
    monkeypatch.undo()
    assert land(folder, 2).file is None


@pytest.mark.parametrize("year", [1970, 1980, -1])
def test_a_time_that_can_be_none_is_that_of_the_landing(
    folder: Path, year: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archives that know no times have files of 1970 or 1980, and damaged disks those of no year at all."""
    if year > 0:
        write(folder / "returns.md", "Forty days.", datetime(year, 1, 1))
    else:
        monkeypatch.setattr("assay.documents.land.datetime", NoSuchYear)
    assert lines_of(land(folder))[0]["updated_at"] == "2026-03-01T12:00:00.000000Z"


def test_a_text_that_is_too_long_for_a_line_keeps_no_other_from_loading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_LANDING_LINE_MB", "1")
    # Each line end takes two characters of JSON.
    write(folder / "long.txt", "a\n" * 400_000)
    landed = land(folder)
    assert list(landed.unreadable) == ["long.txt"]
    assert "1,048,576 are the most: cut it in parts" in landed.unreadable["long.txt"]
    assert all(len(json.dumps(line)) < 1 << 20 for line in lines_of(landed))
    assert land(folder, 1).file is None
    # Where longer lines are allowed, it is read again.
    monkeypatch.setenv("ASSAY_LANDING_LINE_MB", "2")
    assert lines_of(land(folder, 2))[0]["body"] == "a\n" * 400_000
    assert land(folder, 3).file is None
    monkeypatch.setenv("ASSAY_LANDING_LINE_MB", "much")
    with pytest.raises(Fault, match="ASSAY_LANDING_LINE_MB is 'much'"):
        land(folder, 4)


def test_names_that_are_no_text_stay_apart(folder: Path) -> None:
    for name in (b"a\xff.md", b"a\xfe.md"):
        write(folder / os.fsdecode(name), f"Text of {name!r}.")
    landed = land(folder)
    assert sorted(landed.new)[:2] == [r"a\xed\xb3\xbe.md", r"a\xed\xb3\xbf.md"]
    assert land(folder, 1).file is None


def test_a_folder_is_that_of_who_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python, as all paths: as seen from the current folder, whatever the project's is."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "dbt_project.yml").write_text("name: shop\n")
    write(tmp_path / "here" / "pages" / "a.md", "Hello.")
    monkeypatch.chdir(tmp_path / "here")
    for name in ("ASSAY_LANDING", "ASSAY_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    [landed] = open_project(tmp_path / "shop").land_documents("pages", source="pages")
    assert landed.new == ["a.md"]


@pytest.mark.parametrize("source", ["", " a", "a/b", ".a", "_a", "a\nb", "a\0", "a" * 101, "\udcff"])
def test_a_name_that_cannot_be_one_is_refused(folder: Path, source: str) -> None:
    with pytest.raises(Fault, match="cannot name a source"):
        land_folder(folder, source, folder.parent / "landing", NOW)


def test_a_folder_without_documents_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="is no folder"):
        land(tmp_path / "none")
    write(tmp_path / "handbook" / "a.png", b"x")
    with pytest.raises(Fault, match=r"holds no document: their names end with .*\.pdf"):
        land(tmp_path / "handbook")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Returns\r\n\r\nThirty days.", "Returns"),
        ("# Returns\rThirty days.", "Returns"),
        ("\n## C# and F#\n", "C# and F#"),
        ("# Returns ##\n", "Returns"),
        ("#  Two \t words # \n", "Two words"),
        ("# #\n", ""),
        ("#\n", ""),
        ("Thirty days.\n# Returns", ""),
        ("# a" + " " * 200_000 + "b", "a b"),
    ],
)
def test_a_heading_at_the_begin_is_the_title(text: str, title: str) -> None:
    found = extract_text(Path("a.md"), text.encode())
    assert (found.title, found.body) == (title, text)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<h1>Costs</h1><p>Two pounds.</p>", "Costs"),
        ("<title> </title><h2>Costs</h2>", "Costs"),
        ("<title>Costs\n  and &#x1F4B3;</title><p>x</p>", "Costs and \U0001f4b3"),
        ("<svg><title>Icon</title></svg><h1>Costs</h1>", "Costs"),
        ("<p>Two pounds.</p>", ""),
    ],
)
def test_a_page_has_its_title_or_its_first_heading(html: str, title: str) -> None:
    assert extract_text(Path("a.html"), html.encode()).title == title


def test_a_page_is_read_in_the_encoding_that_it_names_or_is_in() -> None:
    for content, body in (
        (b"<p>caf\xe9 refund</p>", "caf\xe9 refund"),
        ("<p>caf\xe9</p>".encode(), "caf\xe9"),
        ("<p>caf\xe9</p>".encode("utf-16"), "caf\xe9"),
        (b'<meta charset="iso-8859-7"><p>caf\xe9</p>', "caf\u03b9"),
    ):
        assert extract_text(Path("a.html"), content).body == body


def test_text_is_as_it_is_written_and_not_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    html = "<p>The re&shy;fund of&#64257;ce</p>"
    assert extract_text(Path("a.html"), html.encode()).body == "The refund office"
    # Halves of characters, as PDFs can hold them, are one where they are two, and none else.
    broken = Extracted("\ud83d", "\ud83d\udcb3 and \udcb3", "")
    monkeypatch.setitem(extract._READERS, ".pdf", lambda content: broken)
    assert extract_text(Path("a.pdf"), b"") == Extracted("\ufffd", "\U0001f4b3 and \ufffd", "")

    def fails(content: bytes) -> Extracted:
        raise ValueError("\ud83d")

    monkeypatch.setitem(extract._READERS, ".pdf", fails)
    assert extract_text(Path("a.pdf"), b"").problem == "ValueError: \ufffd"


def test_text_that_is_not_what_it_begins_as_is_told() -> None:
    for content, problem in (
        (b"\xef\xbb\xbfcaf\xe9", "it begins as text in UTF-8, and is none"),
        (b"\xff\xfea\0b", "it begins as text in UTF-16, and is none"),
    ):
        assert extract_text(Path("a.txt"), content).problem.startswith(problem)


def test_html_becomes_markdown_without_what_is_not_shown() -> None:
    found = extract_text(Path("a.html"), HTML.encode())
    assert found.title == "Costs & fees"
    assert found.body == "# Costs\n\nTwo **pounds**.\n\n| a |\n| --- |\n| 1 |"


@pytest.mark.parametrize(
    ("html", "body"),
    [
        ("<!doctype html><html><head><title>T</title><style>p{}</style><body><h1>A</h1>b", "# A\n\nb"),
        ("<title>T</title><p>one<p>two<div>three</div>", "one\n\ntwo\n\nthree"),
        ("<ul><li>a<ul><li>b<li>c</ul><li>d<p>e</ul>f", "- a\n  - b\n  - c\n- d\n\n  e\n\nf"),
        (
            "<table><thead><tr><th>a<th>b<tbody><tr><td>c<p>d<td>e</table>",
            "| a | b |\n| --- | --- |\n| c d | e |",
        ),
        ("<table><tr><td><ul><li>a<li>b</ul><td>c</table>", "|  |  |\n| --- | --- |\n| - a - b | c |"),
        ("<p>one <b>two<p>three", "one **two**\n\nthree"),
        ("<nav><ul><li>Home<li>Help</ul></nav><svg><title>i</title></svg>Text", "Text"),
    ],
)
def test_a_page_need_not_end_its_elements(html: str, body: str) -> None:
    assert extract_text(Path("a.html"), html.encode()).body == body


@pytest.mark.parametrize("element", ["p", "li", "dd", "tr", "option"])
def test_a_page_of_many_elements_without_end_is_read(element: str) -> None:
    html = "".join(f"<{element}>number {number}" for number in range(2_000))
    found = extract_text(Path("a.html"), html.encode())
    assert found.problem == ""
    assert "number 1999" in (found.body or "")


def test_pdf_gives_its_text_and_title() -> None:
    found = extract_text(Path("a.PDF"), pdf("Thirty days."))
    assert (found.title, found.body, found.problem) == ("Returns", "Thirty days.", "")
    scan = extract_text(Path("a.pdf"), pdf(""))
    assert scan.problem == "its pages hold pictures and no text"


def test_a_pdf_that_anybody_may_open_is_read_though_it_is_encrypted() -> None:
    """As those are that forbid printing; what reads them comes with the extra."""
    for password, found in (("", ("Thirty days.", "")), ("secret", (None, "it is encrypted"))):
        writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf("Thirty days."))))
        writer.encrypt(password, "owner", algorithm="AES-256")
        file = BytesIO()
        writer.write(file)
        text = extract_text(Path("a.pdf"), file.getvalue())
        assert (text.body, text.problem) == found
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    documents = project["optional-dependencies"]["documents"]
    assert any(each.startswith("pypdf[crypto]") for each in documents)


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ("café".encode(), "café"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("café, s'il vous plaît".encode("utf-16"), "café, s'il vous plaît"),
        ("Das Café in Köln ist schön\n".encode("latin-1"), "Das Café in Köln ist schön\n"),
    ],
)
def test_text_is_read_in_the_encoding_that_it_is_in(content: bytes, body: str) -> None:
    assert extract_text(Path("a.txt"), content).body == body
