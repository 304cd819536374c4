"""Files are whole or absent, and private."""

from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from runner.errors import SecurityError
from runner.files import (
    append_whole,
    canonical_json,
    link_below,
    make_private_dir,
    new_file,
    open_log,
    remove_unfinished,
    want_of_room,
    write_atomically,
    write_bytes,
    write_json,
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_written_file_has_its_content_and_no_company(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_written_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_bytes(tmp_path / "file", b"content")
        write_atomically(tmp_path / "other", lambda path: path.write_bytes(b"x") and None)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == mode(tmp_path / "other") == 0o600


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises(error):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "file", object())
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "no folder" / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_file_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def look(temporary: Path) -> None:
        assert not path.exists()
        assert temporary.parent == tmp_path, "on another file system the rename would not be atomic"
        assert mode(temporary) == 0o600, "private before it has any content"
        temporary.write_bytes(b"content")

    write_atomically(path, look)
    assert path.exists()


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    contents = [bytes([65 + number]) * 50_000 for number in range(4)]
    threads = [threading.Thread(target=write_bytes, args=(tmp_path / "file", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_json_is_sorted_and_ends_with_a_line(tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"b": "ü", "a": 1})
    assert (tmp_path / "file").read_text() == '{\n  "a": 1,\n  "b": "ü"\n}\n'


def test_canonical_json_is_one_text_per_value() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "ü"}) == '{"a":"ü","b":[1,2.5]}'.encode()
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_refuses_what_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="JCS"):
        canonical_json({"a": value})


def test_private_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = make_private_dir(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert mode(folder) == 0o700


def test_symbolic_link_is_no_private_folder(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(SecurityError, match="symbolic link") as caught:
        make_private_dir(tmp_path / "link")
    assert caught.value.where == str(tmp_path / "link")
    assert mode(target) == 0o755, "and what it points to stays as it was"


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_something_else_is_no_private_folder(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "path"
    path.write_bytes(b"") if kind == "file" else path.symlink_to(tmp_path / "nothing")
    with pytest.raises(OSError, match="path"):
        make_private_dir(path)


def test_link_is_found_below_its_root_and_nowhere_above(tmp_path: Path) -> None:
    """The user may have put the root itself elsewhere."""
    (tmp_path / "disk" / "day" / "run").mkdir(parents=True)
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    outputs = tmp_path / "outputs"
    assert link_below(outputs, outputs / "day" / "run") is None
    (tmp_path / "disk" / "other").symlink_to(tmp_path / "disk" / "day")
    assert link_below(outputs, outputs / "other" / "run") == outputs / "other"
    assert link_below(outputs, outputs) is None


def test_elsewhere_the_path_itself_must_be_no_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    assert link_below(tmp_path / "outputs", tmp_path / "latest") == tmp_path / "latest"
    assert link_below(tmp_path / "outputs", tmp_path / "run") is None
    assert link_below(tmp_path / "outputs", tmp_path / "latest" / "parties") is None


def test_canonical_json_is_that_of_the_standard() -> None:
    """RFC 8785, section 3.2: keys by their UTF-16 units, numbers as ECMAScript writes them."""
    value = {"\u20ac": 1e-7, "\r": 333333333.33333329, "\U0001f600": 1e30, "1": 4.50, "\u0080": -0.0, "\ufb33": 1.0}
    expected = '{"\\r":333333333.3333333,"1":4.5,"\u0080":0,"\u20ac":1e-7,"\U0001f600":1e+30,"\ufb33":1}'
    assert canonical_json(value) == expected.encode()


def test_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            append_whole(descriptor, b"second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        os.close(descriptor)
    assert path.read_bytes() == b"first\n"
    error = want_of_room(raised.value, "alice")
    assert error is not None
    assert error.what == "alice has no room left on a disk"
    assert error.why == "File too large"


@pytest.mark.parametrize(
    "told",
    [
        RuntimeError("parquet: underlying IO error: No space left on device (os error 28)"),
        OSError("No space left on device (os error 28)"),  # Polars': it has no number
        RuntimeError("IO Error: Could not write file: No space left on device"),
        RuntimeError("failed to offload data block; This limit was set by the 'max_temp_directory_size' setting."),
    ],
)
def test_full_disk_is_known_however_it_is_told(told: Exception) -> None:
    error = want_of_room(told, "alice")
    assert error is not None
    assert error.code == 5
    assert error.why == "No space left on device"


def test_other_errors_are_no_full_disk() -> None:
    assert want_of_room(OSError("Permission denied (os error 13)"), "bob") is None
    assert want_of_room(OSError(errno.ENOSPC, "", "place/file"), "bob").where == "place/file"  # type: ignore[union-attr]
    assert want_of_room(OSError(errno.EACCES, "", "place"), "bob") is None
    assert want_of_room(ValueError("28"), "bob") is None


def test_log_that_cannot_be_made_is_written_nowhere(tmp_path: Path) -> None:
    os.close(open_log(tmp_path / "log"))
    assert mode(tmp_path / "log") == 0o600
    descriptor = open_log(tmp_path / "no folder" / "log")
    assert os.write(descriptor, b"said") == 4
    os.close(descriptor)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (own := tmp_path / "parties" / "alice").mkdir(parents=True)
    new_file(own / "predictions.parquet").write_bytes(b"half")
    for kept in (own / "a.tmp", own / ".notes.tmp", own / "predictions.parquet"):
        kept.touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in own.iterdir()) == [".notes.tmp", "a.tmp", "predictions.parquet"]
