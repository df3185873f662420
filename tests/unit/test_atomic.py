"""A file that `atomic_file` writes is whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from etl.files import atomic_file


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def write_half_and_raise(target: Path, error: type[BaseException]) -> None:
    with atomic_file(target) as file:
        file.write("half")
        file.flush()
        raise error


def test_the_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    with atomic_file(target) as file:
        file.write("new\n")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_bytes() == b"new\n"
    assert names(tmp_path) == ["report.html"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_after_any_error_the_old_file_is_as_it_was_and_nothing_else_is_left(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    with pytest.raises(error):
        write_half_and_raise(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["report.html"]


def test_a_new_file_has_the_permissions_of_the_umask_and_an_old_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    before = os.umask(0o027)
    try:
        for name, mode in (("new", 0o640), ("secret", 0o600), ("open", 0o666)):
            if name != "new":
                (tmp_path / name).touch()
                (tmp_path / name).chmod(mode)
            with atomic_file(tmp_path / name, "wb") as file:
                file.write(b"x")
            assert (tmp_path / name).stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with atomic_file(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_device_is_written_to_and_never_replaced() -> None:
    with pytest.raises(OSError, match="No space left"), atomic_file(Path("/dev/full")) as file:
        file.write("x" * 100_000)
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("target", ["missing/file", ""])
def test_a_place_that_is_none_is_an_os_error_at_once(tmp_path: Path, target: str) -> None:
    with pytest.raises(OSError, match="directory"), atomic_file(tmp_path / target):
        pytest.fail("nothing may be written")
    assert names(tmp_path) == []


def test_a_name_of_the_largest_length_is_written(tmp_path: Path) -> None:
    with atomic_file(tmp_path / ("ấ" * 80)) as file:
        file.write("x")
    assert names(tmp_path) == ["ấ" * 80]


@pytest.mark.parametrize("refused", [errno.EPERM, errno.ENOTSUP, errno.EINVAL])
def test_a_file_system_without_permissions_or_fsync_takes_it_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(os, "fchmod", refuse)
    if refused != errno.EPERM:
        monkeypatch.setattr(os, "fsync", refuse)
    for content in ("first", "second", "third"):
        with atomic_file(tmp_path / "report.html") as file:
            file.write(content)
        assert (tmp_path / "report.html").read_text() == content
    assert names(tmp_path) == ["report.html"]


@pytest.mark.parametrize("failed", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_file_that_did_not_get_to_the_disk_does_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: int
) -> None:
    def fail(_: int) -> None:
        raise OSError(failed, os.strerror(failed))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(failed)), atomic_file(tmp_path / "x") as file:
        file.write("lost")
    assert names(tmp_path) == []


def test_links_in_a_circle_are_an_error_of_the_system(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to("loop")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        atomic_file(link)
    assert link.is_symlink()
