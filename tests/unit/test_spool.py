"""The spool answers as plain sets would, leaves nothing behind, and says so where the disk is full
or gone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from etl.errors import SpoolError
from etl.model import Page
from etl.sync import spool as spool_module
from etl.sync.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture(autouse=True)
def _many_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of a few users are dealt as lists of millions are."""
    monkeypatch.setattr(spool_module, "PARTITION_USERS", 3)
    monkeypatch.setattr(spool_module, "MAX_PARTITIONS", 7)
    monkeypatch.setattr(spool_module, "BUFFERED_USERS", 4)


def page(*users: str, total: int = 30, offset: int = 0) -> Page:
    return Page(offset, users, total)


def flat(chunks: Iterable[list[str]]) -> list[str]:
    return [user for chunk in chunks for user in chunk]


# -- the laws of sets ------------------------------------------------------------------------------

# Few users, so that looks coincide, and among them what could be mistaken: an empty-looking one,
# prefixes, non-ASCII.
USERS = st.sampled_from([*"abcdefghij", "aa", "a b", " ", "người", "𝟙", "7800378501923859642"])
PAGES = st.lists(st.lists(USERS, max_size=5).map(tuple), max_size=5)


class Sets:
    """What the spool should say, by plain sets."""

    def __init__(self) -> None:
        self.looks: list[set[str]] = []
        self.known: set[str] = set()
        self.left: set[str] = set()

    @property
    def seen(self) -> set[str]:
        return set().union(*self.looks)


def check(spool: Spool, sets: Sets) -> None:
    assert spool.seen() == len(sets.seen)
    assert spool.missing() == len(sets.known - sets.seen)
    assert spool.arrivals() == len(sets.seen - sets.known)
    assert spool.returned() == len((sets.seen - sets.known) & sets.left)
    for told, expected in (
        (spool.users(), sets.seen),
        (spool.arrived(), sets.seen - sets.known),
        (spool.gone(), sets.known - sets.seen),
    ):
        assert sorted(flat(told)) == sorted(expected)  # a list, not a set: each once


@hypothesis_settings(max_examples=150)
@given(
    looks=st.lists(PAGES, min_size=1, max_size=5),
    known=st.sets(USERS),
    left=st.sets(USERS),
    chunk=st.integers(1, 4),
    total=st.sampled_from([0, 1, 30, 10**15]),
)
def test_whatever_pages_the_looks_bring_the_spool_counts_and_lists_as_sets_do(
    looks: list[list[tuple[str, ...]]], known: set[str], left: set[str], chunk: int, total: int
) -> None:
    sets = Sets()
    left -= known
    with Spool() as spool:
        for number, pages in enumerate(looks):
            for users in pages:
                spool.add(page(*users, total=total))
            look = set().union(*pages)
            tally = spool.end_look()
            assert tally.distinct == len(look)
            assert tally.new == len(look - sets.seen)
            assert tally.same_as == tuple(
                index for index, earlier in enumerate(sets.looks) if earlier == look
            )
            sets.looks.append(look)
            if number == 0:
                spool.add_known(_chunks(known, chunk))
                spool.add_known(_chunks(left, chunk), following=False)
                sets.known, sets.left = known, left
            check(spool, sets)


def _chunks(users: set[str], size: int) -> Iterator[list[str]]:
    listed = sorted(users)
    for at in range(0, len(listed), size):
        yield listed[at : at + size]


@given(
    looks=st.lists(PAGES, min_size=1, max_size=3),
    known=st.sets(USERS),
    names=st.dictionaries(USERS, st.integers(0, 99).map("forgotten-{}".format), max_size=4),
    followed=st.booleans(),
)
def test_who_is_recognised_is_counted_under_their_pseudonym_alone(
    looks: list[list[tuple[str, ...]]], known: set[str], names: dict[str, str], *, followed: bool
) -> None:
    names = {user: name for user, name in names.items() if list(names.values()).count(name) == 1}
    known -= names.keys()  # a forgotten user is not known by the User_Id any more
    known |= set(names.values()) if followed else set()
    sets = Sets()
    with Spool(recognise=names.get) as spool:
        for number, pages in enumerate(looks):
            for users in pages:
                spool.add(page(*users))
            spool.end_look()
            if number == 0:
                spool.add_known([sorted(known)])
            sets.looks.append({names.get(user, user) for user in set().union(*pages)})
        sets.known = known
        assert sorted(flat(spool.arrived())) == sorted(sets.seen - known)
        assert sorted(flat(spool.gone())) == sorted(known - sets.seen)
        assert (spool.arrivals(), spool.missing()) == (
            len(sets.seen - known),
            len(known - sets.seen),
        )


def test_a_look_that_brings_the_pages_of_an_earlier_one_costs_no_disk() -> None:
    with Spool() as spool:
        pages = [page("a", "b", offset=0), page("b", "c", offset=1)]
        for each in pages:
            spool.add(each)
        first = spool.end_look()
        written = spool._file.size
        for each in reversed(pages):
            spool.add(each)
        assert spool.end_look().same_as == (0,)
        assert (spool._file.size, spool.seen(), first.distinct) == (written, 3, 3)


def test_an_empty_list_has_nobody() -> None:
    with Spool() as spool:
        spool.add(page(total=0))
        tally = spool.end_look()
        spool.add_known([])
        assert (tally.distinct, tally.new, tally.same_as) == (0, 0, ())
        check(spool, Sets())


# -- the temporary directory -----------------------------------------------------------------------


def test_the_file_has_no_name_so_that_even_a_killed_run_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    with Spool(tmp_path) as spool:
        spool.add(page("a"))
        spool.end_look()
        assert list(tmp_path.iterdir()) == []
        assert spool._file._file.fileno() > 0


def test_it_is_made_where_tmpdir_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Spool() as spool:
        assert Path(f"/proc/self/fd/{spool._file._file.fileno()}").readlink().parent == tmp_path


def test_a_temporary_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="temporary directory") as caught, Spool(tmp_path / "gone"):
        pass
    assert "TMPDIR" in caught.value.hint
    assert caught.value.exit_code == 69


def test_a_temporary_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError), Spool(tmp_path / "file"):
        pass


def test_a_directory_that_vanishes_meanwhile_harms_nobody(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        shutil.rmtree(tmp_path)
        spool.add(page("a", "b"))
        assert spool.end_look().distinct == 2


FULL_DISK = """
import resource, signal, sys
from etl.errors import SpoolError
from etl.model import Page
from etl.sync.spool import Spool

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with Spool() as spool:
        for number in range(2_000):
            spool.add(Page(number * 50, tuple(f"{number * 50 + user:019}" for user in range(50)), 100_000))
        spool.end_look()
except SpoolError as error:
    print(error, "|", error.hint)
    sys.exit(error.exit_code)
"""


def test_a_full_disk_is_told_with_what_to_change_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK],
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (69, "")
    assert "temporary directory" in done.stdout
    assert "TMPDIR" in done.stdout
    assert list(tmp_path.iterdir()) == []
