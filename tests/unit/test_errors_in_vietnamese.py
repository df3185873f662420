"""Whatever an error can say to people, it says in Vietnamese, too."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etl import errors
from etl.texts.errors import in_vietnamese, translations

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(errors.__file__).parent

PLACES = re.compile(r"\{\d+\}")

MAKERS = re.compile(r"_failed|problem|require_extra|\w*Error")
"""Functions that make an error of their words."""

NAMES = re.compile(
    r"(\w+\.)?(hint|problems|told|words|advice|example|_HINTS|_NO_MORE|REFUSALS|_OF_SQLITE|_INSTEAD"
    r"|_WRONG|_WORDS|_UNPRINTABLE|_NO_URL|_INIT|ADVICE|ANYWHERE)"
)
"""What words are kept in until they are said."""

UNSAID = (
    "fleet/child.py",  # says to its parent
    "simulator/",
    "observe/",  # the log is English
)

NOT_FOR_PEOPLE = {
    "etl fleet",  # the name of a command
    "DATABASE_URL {0}",
    "unreachable: the last try returns or raises",
    "a time without a zone: {0}",
    "nobody waits for it any more",
    "it ends in the middle",
    "no zone",
}


def templates(node: ast.expr) -> Iterator[str]:
    """The texts in an expression, with {0}, {1} … for the values in them."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr():
            text, places = "", 0
            for part in node.values:
                text += str(part.value) if isinstance(part, ast.Constant) else f"{{{places}}}"
                places += not isinstance(part, ast.Constant)
            yield re.sub(r"^\{0\} (?=[A-Z][a-z])", "", text)  # what follows another sentence
        case ast.List(elts=inner) | ast.Tuple(elts=inner) | ast.Dict(values=inner):
            for each in inner:
                yield from templates(each)
        case ast.IfExp(body=first, orelse=second):
            yield from (*templates(first), *templates(second))
        case ast.ListComp(elt=each):
            yield from templates(each)


def said(path: Path) -> Iterator[str]:
    """The texts of the errors of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if MAKERS.fullmatch(name.rpartition(".")[2]) or name == "problems.append":
                found = [*node.args, *(each.value for each in node.keywords)]
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(NAMES.fullmatch(ast.unparse(each)) for each in targets):
                found = [node.value]
        for each in found:
            yield from templates(each)


def texts() -> list[str]:
    """All sentences that errors are made of: words with blanks between them."""
    found = {
        text
        for path in PROGRAM.rglob("*.py")
        if not str(path.relative_to(PROGRAM)).startswith(UNSAID)
        for text in said(path)
        if len(re.findall(r"[A-Za-z]{2,}", PLACES.sub("", text))) > 1 and " " in text.strip()
    }
    return sorted(found - NOT_FOR_PEOPLE)


def is_translated(text: str) -> bool:
    """Whether there is a Vietnamese text for it, with all its values."""
    places = iter(range(text.count("{")))
    english = re.sub(r"\{[^}]*\}", lambda _: f"<{next(places)}>", text)
    values = re.findall(r"<\d>", english)
    # Most that is wrong with a setting is said of its name.
    return any(
        (vietnamese := in_vietnamese(each)) != each and all(each in vietnamese for each in values)
        for each in (english, f"NAME {english}")
    )


def test_every_text_of_an_error_is_translated_with_all_its_values() -> None:
    found = texts()
    assert len(found) > 200
    assert [text for text in found if not is_translated(text)] == []


def test_a_translation_has_the_places_of_its_text() -> None:
    for english, vietnamese in translations().items():
        assert sorted(PLACES.findall(vietnamese)) == sorted(PLACES.findall(english)), english


@pytest.mark.parametrize(
    ("english", "vietnamese"),
    [
        ("eSMS answered HTTP 503 (tried 6 times)", "eSMS trả lời HTTP 503 (đã thử 6 lần)"),
        (
            "the connection to eSMS failed (Connection refused) (tried 2 times)",
            "kết nối tới eSMS bị lỗi (kết nối bị từ chối) (đã thử 2 lần)",
        ),
        ("A is missing: B is blank; C is blank", "thiếu A: B để trống; C để trống"),
        ("/x/q.db: Permission denied", "/x/q.db: không có quyền"),
        (
            "Check ESMS_BASE_URL and DNS. Make room on that disk.",
            "Hãy kiểm tra ESMS_BASE_URL và DNS. Hãy dọn ổ đĩa đó.",
        ),
        ("eSMS answered code 104: Brand. Sorry; no", "eSMS trả lời mã 104: Brand. Sorry; no"),
        ("what a server says of itself", "what a server says of itself"),
    ],
)
def test_what_fills_a_text_is_translated_in_turn(english: str, vietnamese: str) -> None:
    assert in_vietnamese(english) == vietnamese
