import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from documents import package, paragraph, pdf_file, picture, saved_page, scanned_pdf, word_file, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from train.errors import BrokenFile, EncryptedFile, InputError, NoText, TooLarge, UnsupportedFormat
from train.plans import files
from train.plans.files import SUFFIXES, Found, find_files, read_lines
from train.plans.lines import Line

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SAVE_AS = r"open it in Word or WPS and save as \.docx \(or run: soffice --headless --convert-to docx FILE\)"


def texts(path: Path) -> list[str]:
    return [line.text for line in read_lines(path)]


# ── Which files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_gives_itself_and_a_folder_all_it_holds_sorted(tmp_path: Path) -> None:
    names = ["b/2.docx", "a.txt", "b/1.pdf", "b/c/图.png", "z.doc"]
    for name in names:
        write(tmp_path / "plans", name, "x")
    single = write(tmp_path, "单个.md", "x")
    found = list(find_files([single, tmp_path / "plans"]))
    assert found[0] == Found(single, "单个.md")
    assert [each.name for each in found[1:]] == ["a.txt", "b/1.pdf", "b/2.docx", "b/c/图.png", "z.doc"]


def test_hidden_files_locks_and_litter_are_passed_over(tmp_path: Path) -> None:
    for name in ["a.txt", ".b.txt", "~$c.docx", "Thumbs.db", "desktop.ini", ".DS_Store", ".git/d.txt", "e/._f.txt"]:
        write(tmp_path, name, "x")
    assert [each.name for each in find_files([tmp_path])] == ["a.txt"]


def test_the_same_file_is_found_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "x")
    assert [each.name for each in find_files([path, tmp_path, tmp_path / "a.txt"])] == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="a drive stands in the way")
def test_files_of_one_name_from_several_places_are_told_apart(tmp_path: Path) -> None:
    for name in ("a/要点.txt", "b/要点.txt", "c/b/要点.txt"):
        write(tmp_path, name, "x")
    found = find_files([tmp_path / "a", tmp_path / "b/要点.txt", tmp_path / "c/b", tmp_path / "a/../a/要点.txt"])
    assert [each.name for each in found] == ["要点.txt", "b/要点.txt", "c/b/要点.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_followed_and_loops_do_not_hang(tmp_path: Path) -> None:
    write(tmp_path / "away", "b.txt", "x")
    write(tmp_path / "plans", "a.txt", "x")
    (tmp_path / "plans" / "loop").symlink_to(tmp_path / "plans")
    (tmp_path / "plans" / "more").symlink_to(tmp_path / "away")
    assert [each.name for each in find_files([tmp_path / "plans"])] == ["a.txt", "more/b.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_names_in_gb18030_become_readable(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/" + "要点.txt".encode("gb18030")
    Path(os.fsdecode(raw)).write_text("x")
    assert [each.name for each in find_files([tmp_path])] == ["要点.txt"]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such file or folder"):
        list(find_files([tmp_path / "nowhere"]))


def test_a_folder_without_files_to_read_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no file to read in it: looked for \.txt \.md \.html \.htm \.mhtml \.mht \.docx \.pdf$"
    ):
        list(find_files([tmp_path]))
    write(tmp_path, "a.doc", "x")
    write(tmp_path, "b.DOC", "x")
    write(tmp_path, "README", "x")
    with pytest.raises(
        InputError, match=r"looked for .*; there are only 2 × \.doc, 1 × no extension \(open it in Word or WPS"
    ):
        list(find_files([tmp_path]))


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="cannot be listed: Permission denied"):
        list(find_files([tmp_path]))


def test_a_folder_inside_that_cannot_be_listed_costs_itself_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b/2.txt", "c.txt"):
        write(tmp_path, name, "x")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(find_files([tmp_path]))
    assert [each.name for each in found] == ["a.txt", "b", "c.txt"]
    with pytest.raises(InputError, match=r"b: cannot be listed: Permission denied"):
        read_lines(found[1].path)


# ── Every format ──────────────────────────────────────────────────────────────────────────────────────────────────────

PAGE = "<html><head><meta charset='gb2312'></head><body><p>一、医改</p></body></html>"
CONTENTS = {
    ".txt": "一、医改\n".encode("gb18030"),
    ".md": "# 一、医改".encode(),
    ".html": PAGE.encode("gb18030"),
    ".htm": PAGE.encode("gb18030"),
    ".mhtml": saved_page(PAGE),
    ".mht": saved_page(PAGE, encoding="base64"),
    ".docx": word_file(paragraph("一、医改")),
    ".pdf": pdf_file([[(72, 100, "一、医改")]]),
}


def test_there_is_an_example_of_every_suffix() -> None:
    assert tuple(CONTENTS) == SUFFIXES


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_format_is_read_also_with_capitals(tmp_path: Path, suffix: str) -> None:
    assert texts(write(tmp_path, f"plan{suffix.upper()}", CONTENTS[suffix])) == ["一、医改"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pdf.txt", CONTENTS[".pdf"]),
        ("pdf.docx", CONTENTS[".pdf"]),
        ("word.doc", CONTENTS[".docx"]),
        ("word.pdf", CONTENTS[".docx"]),
        ("word.wps", CONTENTS[".docx"]),
        ("page.doc", CONTENTS[".html"]),
        ("page.xls", CONTENTS[".html"]),
        ("page.txt", CONTENTS[".html"]),
        ("page.docx", CONTENTS[".html"]),
        ("page.mhtml", CONTENTS[".html"]),
        ("saved.html", CONTENTS[".mhtml"]),
        ("saved.doc", CONTENTS[".mhtml"]),
        ("text.html", CONTENTS[".txt"]),
        ("utf16.html", PAGE.encode("utf-16")),
    ],
)
def test_a_file_is_read_for_what_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    assert texts(write(tmp_path, name, content)) == ["一、医改"]


def test_markdown_marks_its_headings(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, "a.md", CONTENTS[".md"])) == [Line("一、医改", 1)]


# ── What is not read, and what to do ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.doc", OLE, rf"a\.doc: \.doc is not read: {SAVE_AS}$"),
        ("a.wps", OLE, rf"\.wps is not read: {SAVE_AS}"),
        ("a.rtf", b"{\\rtf1 x}", rf"\.rtf is not read: {SAVE_AS}"),
        ("a.odt", b"x", rf"\.odt is not read: {SAVE_AS}"),
        ("a.doc", "正文".encode(), rf"\.doc is not read: {SAVE_AS}"),
        ("a.doc", bytes(range(256)), rf"\.doc is not read: {SAVE_AS}"),
        ("a.docx", OLE, f"is not what its name says but an old binary Office file: {SAVE_AS}"),
        ("a.docx", b"{\\rtf1 x}", f"is not what its name says but RTF: {SAVE_AS}"),
        ("a.docx", package({"OFD.xml": "x"}), r"but OFD: open it in an OFD reader .* and save as \.pdf or \.docx"),
        ("a.docx", package({"xl/workbook.xml": "x"}), r"but a spreadsheet: save the sheet as a web page \(\.html\)"),
        ("a.docx", package({"mimetype": "x", "content.xml": "x"}), f"but an OpenDocument file: {SAVE_AS}"),
        ("a.docx", package({"b.txt": "x"}), "but an archive: unpack it and give the folder"),
        ("a.pdf", picture(), "is not what its name says but a picture: run OCR on it first, or ask for the Word file"),
        ("a.txt", b"RIFF0000WEBP", "but a picture"),
        ("a.txt", b"Rar!\x1a\x07", "but an archive"),
        ("a.txt", b'<?xml version="1.0"?><?mso-application progid="Word.Document"?><x/>', f"Word 2003 XML: {SAVE_AS}"),
        ("a.png", b"x", r"a\.png: a picture: run OCR on it first, or ask for the Word file or the web page"),
        ("a.JPG", b"x", "a picture"),
        ("a.tif", b"x", "a picture"),
        ("a.bmp", b"x", "a picture"),
        ("a.ofd", b"x", r"OFD: open it in an OFD reader"),
        ("a.ceb", b"x", r"CEB: open it in 方正 Apabi Reader and print it to \.pdf"),
        ("a.caj", b"x", r"CAJ: open it in CAJViewer"),
        ("a.zip", b"x", "an archive: unpack it and give the folder"),
        ("a.rar", b"x", "an archive"),
        ("a.7z", b"x", "an archive"),
        ("a.et", b"x", "a spreadsheet"),
        ("a.xlsx", b"x", "a spreadsheet"),
        ("a.xls", OLE, "a spreadsheet"),
        ("a.pptx", b"x", r"a presentation: export it to \.pdf"),
        ("a.exe", b"x", r"\.exe is not read; what is: \.txt \.md \.html \.htm \.mhtml \.mht \.docx \.pdf"),
        ("README", b"x", "a file without extension is not read; what is:"),
    ],
)
def test_formats_that_are_not_read_say_what_to_do(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(UnsupportedFormat, match=message):
        read_lines(write(tmp_path, name, content))


@pytest.mark.parametrize("name", ["a.docx", "a.doc"])
def test_an_encrypted_word_file_is_told_from_an_old_one(tmp_path: Path, name: str) -> None:
    raw = OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(80)
    with pytest.raises(
        EncryptedFile, match="asks for a password: open it in Word or WPS, remove the password, save it again"
    ):
        read_lines(write(tmp_path, name, raw))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", "正文".encode(), r"a\.docx: not a \.docx file, or damaged: copy or download it again"),
        ("a.pdf", bytes(range(256)), r"not a \.pdf file, or damaged"),
        ("a.docx", CONTENTS[".docx"][:-30], "damaged: its zip directory cannot be read"),
        ("a.docx", b"PK\x03\x04 and no more", "damaged: its zip directory"),
        ("a.pdf", CONTENTS[".pdf"][:200], "damaged: not a readable PDF"),
        ("a.txt", bytes(range(256)) * 9, "not text: mostly binary content|not text in any known encoding"),
        ("a.html", "<div>" * 5_000 + "尾", "nested more than 2,048 deep"),
        (
            "a.mht",
            b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n--x--",
            r"no page in this \.mhtml",
        ),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes | str, message: str) -> None:
    with pytest.raises(BrokenFile, match=message):
        read_lines(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "an empty file$"),
        ("a.docx", b"", "an empty file$"),
        ("a.txt", b" \r\n\t", "an empty file: nothing but blanks"),
        ("a.pdf", bytes(4096), "an empty file: nothing but blanks"),
        ("a.docx", word_file(""), "no text in it; if it holds pictures of pages, run OCR on it first"),
        ("a.html", "<html><img src='a.png'></html>", "no text in it"),
        ("a.pdf", scanned_pdf(), "a scan, pictures of pages without text: run OCR"),
    ],
)
def test_files_without_text_are_named(tmp_path: Path, name: str, content: bytes | str, message: str) -> None:
    with pytest.raises(NoText, match=message):
        read_lines(write(tmp_path, name, content))


def test_a_file_above_the_limit_says_its_size_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    path = write(tmp_path, "a.txt", bytes(3 << 19))
    with pytest.raises(TooLarge, match=r"a\.txt: 1\.5 MiB, more than the 1 MiB read: split it, or remove its pictures"):
        read_lines(path)


def test_paths_that_are_no_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt: cannot be read: no such file or folder"):
        read_lines(tmp_path / "a.txt")
    with pytest.raises(InputError, match="a folder, not a file"):
        read_lines(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        read_lines(Path("a\0.txt"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.txt")
        with pytest.raises(InputError, match="not a regular file"):
            read_lines(tmp_path / "pipe.txt")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = write(tmp_path, "a.txt", "x")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_lines(path)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (KeyError("word"), BrokenFile, r"damaged: its reader failed \(KeyError: 'word'\)"),
        (RecursionError(), BrokenFile, r"damaged: its reader failed \(RecursionError\)"),
        (MemoryError(), TooLarge, "needs more memory than there is: split it, or remove its pictures"),
    ],
)
def test_a_parser_that_fails_is_one_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: type[InputError], message: str
) -> None:
    def fail(text: str) -> list[Line]:
        raise error

    monkeypatch.setattr("train.plans.formats.text.text_lines", fail)
    with pytest.raises(kind, match=message):
        read_lines(write(tmp_path, "a.txt", "一、医改"))


# ── Anything at all ───────────────────────────────────────────────────────────────────────────────────────────────────


def outcome(path: Path) -> list[Line] | InputError:
    """What reading gives; any other exception fails the test."""
    try:
        return read_lines(path)
    except InputError as error:
        return error


def is_proper(result: list[Line] | InputError, path: Path) -> bool:
    """One line of message that names the file, or lines of one visible paragraph each."""
    if isinstance(result, InputError):
        return str(result).startswith(f"{path}: ") and len(str(result).splitlines()) == 1
    texts = [line.text for line in result]
    return bool(texts) and all(len(text.splitlines()) == 1 and text == text.strip() for text in texts)


pieces = st.sampled_from(
    [OLE, b"%PDF-1.4\n", b"PK\x03\x04", b"{\\rtf", b"<html>", b"<table><tr><td>", b"MIME-Version: 1.0\nContent-Type: text/html\n\n",
     "一、医改".encode(), "医改".encode("gb18030"), b"\xff\xfe", b"\xfe\xff", b"\0", b"\n", b"| a | b |\n|--|--|\n", b"# "]
)  # fmt: skip
anything = st.one_of(
    st.binary(max_size=200), st.lists(st.one_of(pieces, st.binary(max_size=20)), max_size=12).map(b"".join)
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=anything, suffix=st.sampled_from([*SUFFIXES, ".doc", ".xls"]))
def test_any_bytes_under_any_name_give_lines_or_an_input_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = write(tmp_path, f"a{suffix}", content)
    assert is_proper(outcome(path), path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([".docx", ".pdf", ".mhtml", ".html"]))
def test_damage_in_a_real_file_gives_lines_or_an_input_error(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    raw = bytearray(CONTENTS[suffix])
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=6)):
        raw[at] = data.draw(st.integers(0, 255))
    path = write(tmp_path, f"a{suffix}", bytes(raw))
    assert is_proper(outcome(path), path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_inside_a_word_package_gives_lines_or_an_input_error(tmp_path: Path, data: st.DataObject) -> None:
    path = write(tmp_path, "a.docx", CONTENTS[".docx"])
    with zipfile.ZipFile(path) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    name = data.draw(st.sampled_from(sorted(parts)))
    raw = bytes(parts[name])  # type: ignore[arg-type]
    at = data.draw(st.integers(0, len(raw)))
    parts[name] = raw[:at] + data.draw(st.binary(max_size=8)) + raw[at + data.draw(st.integers(0, 8)) :]
    assert is_proper(outcome(write(tmp_path, "a.docx", package(parts))), path)


def test_parsers_are_imported_only_when_a_file_needs_them() -> None:
    code = "import sys, train.plans.files; print([m for m in ('lxml', 'pdfplumber', 'docx', 'markdown_it', 'charset_normalizer') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
