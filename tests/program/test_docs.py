"""What the documents say is so: commands, options, settings, exit codes and links."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
from documented import all_commands, etl_commands, misnamed, trouble

from etl.errors import EtlError
from etl.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("README*.md")),
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
OPERATIONS = ROOT / "docs" / "operations.md"
SHELLS = {"", "sh", "bash", "console"}

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(?:[A-Z_]+=\S+ )*(?:etl|etl-service) ([^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SETTING = re.compile(r"\b(?:(?:ESMS|ETL)_[A-Z]+(?:_[A-Z]+)*|DATABASE_URL)\b(?!\.md)")

_DOCUMENT = re.compile(r"\b(docs/[\w./-]+\.md)(#[\w-]+)?")
_ELSEWHERE = re.compile(
    r"DESIGN(?:\.md)? ?§|shared/|\b(?:DESIGN|VERDICT|WINDOWS|HOUSE|STYLE|ESMS_API)\.md|\b[Ii]ssue \d+"
)

SETTINGS = {name.upper() for name in Settings.names()}

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def prose(document: Path) -> str:
    """The text without its code blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def scripts(document: Path) -> list[str]:
    """The code blocks that a reader may paste into a shell, without the prompts."""
    blocks = _FENCE.findall(document.read_text(encoding="utf-8"))
    return [
        re.sub(r"^ *\$ ", "", block, flags=re.MULTILINE)
        for _, language, block in blocks
        if language in SHELLS
    ]


def sources(folder: str) -> list[Path]:
    """The text files of a folder, below it too."""
    return sorted(
        path
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".service", ".timer", ".j2", ".html"}
    )


def anchors(document: Path) -> set[str]:
    """What a link may point to inside a document, as GitHub names its headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def exit_codes() -> set[int]:
    """Every code that an error of ours ends the program with, a signal's too."""
    kinds, codes = [EtlError], {0, 128 + signal.SIGTERM, 128 + signal.SIGINT}
    while kinds:
        kind = kinds.pop()
        codes.add(kind.exit_code)
        kinds += kind.__subclasses__()
    return codes


@each_document
def test_every_command_that_a_document_tells_to_paste_is_one_that_the_program_takes(
    document: Path,
) -> None:
    calls = [call for script in scripts(document) for call in etl_commands(script)]
    assert [told for call in calls if (told := trouble(call))] == []


@each_document
def test_every_command_and_option_that_a_document_names_exists(document: Path) -> None:
    sketches = [
        re.split(r"[\s\[\]]+", sketch.strip()) for sketch in _INLINE.findall(prose(document))
    ]
    assert [(sketch, wrong) for sketch in sketches if (wrong := misnamed(sketch))] == []


@each_document
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    named = set(_SETTING.findall(document.read_text(encoding="utf-8")))
    assert named - SETTINGS == set()


@each_document
def test_every_relative_link_points_to_a_file_and_a_heading_that_are_there(document: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(document)):
        path, _, anchor = link.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        ):
            broken.append(link)
    assert broken == []


def pointers(source: Path) -> list[tuple[str, str]]:
    """The documents, with their anchors, that a source or a document names in plain text."""
    return _DOCUMENT.findall(source.read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", ["etl", "tests", "benchmarks", "migrations", "docs", "deploy"])
def test_every_document_that_is_named_is_there_with_its_heading(folder: str) -> None:
    named = [(source, *pointer) for source in sources(folder) for pointer in pointers(source)]
    missing = [
        f"{source.relative_to(ROOT)}: {path}{anchor}"
        for source, path, anchor in named
        if not (ROOT / path).is_file() or (anchor and anchor[1:] not in anchors(ROOT / path))
    ]
    assert missing == []


def test_the_design_is_pointed_at_from_the_code() -> None:
    """Or the test above would be content with nothing."""
    named = {pointer for source in sources("etl") for pointer in pointers(source)}
    assert ("docs/design.md", "#reading-a-list-that-moves") in named


@pytest.mark.parametrize("folder", ["etl", "tests", "benchmarks", "migrations", "docs", "deploy"])
def test_no_source_points_at_a_document_that_is_not_in_the_repository(folder: str) -> None:
    strangers = [
        f"{source.relative_to(ROOT)}: {found}"
        for source in sources(folder)
        if source != Path(__file__)
        for found in _ELSEWHERE.findall(source.read_text(encoding="utf-8"))
    ]
    assert strangers == []


def test_a_law_is_named_with_the_place_where_it_is_listed() -> None:
    """A number alone says nothing to a newcomer."""
    numbered = [
        source
        for folder in ("etl", "tests", "benchmarks", "migrations", "docs")
        for source in sources(folder)
        if re.search(r"\b[Ll]aw [1-5]\b", source.read_text(encoding="utf-8"))
    ]
    assert [
        source for source in numbered if "#the-five-laws" not in source.read_text(encoding="utf-8")
    ] == []


def test_the_operations_guide_has_calls_to_check() -> None:
    """Or the tests above would be content with nothing."""
    calls = [call for script in scripts(OPERATIONS) for call in etl_commands(script)]
    assert len(calls) > 20
    assert ["db", "copy", "--to", "postgresql://etl@db.example/followers"] in calls
    assert trouble(["status", "--max-agee", "26h"])
    assert trouble(["snyc"])
    assert misnamed(["status", "--max-agee"]) == ["--max-agee"]


def test_the_readme_tells_of_every_setting() -> None:
    assert (
        SETTINGS - set(_SETTING.findall((ROOT / "README.md").read_text(encoding="utf-8"))) == set()
    )


def test_the_readme_tells_of_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    alternatives = r"(\w+\|)*"  # `etl db upgrade|check` tells of both
    patterns = {
        name: "etl " + " ".join(alternatives + word for word in name.split()) + r"\b"
        for name in all_commands()
    }
    assert [name for name, pattern in patterns.items() if not re.search(pattern, readme)] == []


def test_the_operations_guide_tells_of_every_exit_code_and_of_no_other() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$",
        OPERATIONS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    by_shells_and_systemd = {128 + signal.SIGHUP, 128 + signal.SIGPIPE, 243}
    assert {int(code) for code, *_ in rows} == exit_codes() | by_shells_and_systemd


@pytest.mark.parametrize("name", all_commands())
def test_the_help_of_every_command_has_an_example_that_the_program_takes(name: str) -> None:
    epilog = str(all_commands()[name].epilog or "")
    assert epilog.startswith("Example"), f"etl {name} --help has no example"
    # Behind four spaces stands what the example is for.
    examples = [
        line.removeprefix("Example: ").strip().partition("    ")[0] for line in epilog.split("\n\n")
    ]
    calls = [call for example in examples for call in etl_commands(example)]
    assert any(" ".join(call).startswith(name) for call in calls)
    assert [told for call in calls if (told := trouble(call))] == []


def test_the_shell_completes_commands_and_options_once_installed(tmp_path: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / "etl"
    environment = {"HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    # `; true` keeps bash between us and the program, which asks what shell it was started from.
    subprocess.run(
        ["bash", "-c", "etl --install-completion; true"],
        env=environment,
        check=True,
        capture_output=True,
    )
    script = tmp_path / ".bash_completions" / "etl.sh"
    ask = f'source {script}; COMP_WORDS=(etl {{}}) COMP_CWORD={{}}; _etl_completion etl; echo "${{{{COMPREPLY[*]}}}}"'
    for words, position, offered in (
        ("stat", 1, "status"),
        ("status --max", 2, "--max-age"),
        ("db up", 2, "upgrade"),
    ):
        bash = ["bash", "-c", ask.format(words, position)]
        assert subprocess.run(
            bash, env=environment, check=True, capture_output=True, text=True
        ).stdout.split() == [offered]
    assert str(script) in (tmp_path / ".bashrc").read_text()
