"""The two tables of texts: the same keys, the same values in them, and none that nobody uses."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest

from etl.cli.answer import advice
from etl.model import Reason, Status
from etl.texts import Lang, Texts, language, table

REASONS = {key.removeprefix("reason.") for key in table(Lang.EN) if key.startswith("reason.")}

EN, VI = Texts(Lang.EN), Texts(Lang.VI, ZoneInfo("Asia/Ho_Chi_Minh"))


def forms(lang: Lang, key: str) -> list[str]:
    found = table(lang)[key]
    return [found] if isinstance(found, str) else list(found.values())


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys() -> None:
    assert set(table(Lang.VI)) == set(table(Lang.EN))


@pytest.mark.parametrize("key", sorted(table(Lang.EN)))
def test_both_languages_have_the_same_values_in_a_text(key: str) -> None:
    english = set().union(*map(fields, forms(Lang.EN, key)))
    assert set().union(*map(fields, forms(Lang.VI, key))) == english


@pytest.mark.parametrize("lang", Lang)
def test_a_text_that_has_forms_has_one_for_every_number(lang: Lang) -> None:
    texts = Texts(lang)
    counted = [key for key, text in table(lang).items() if not isinstance(text, str)]
    for key in (*counted, "followers"):
        assert [texts.count(key, number).split()[0] for number in (0, 1, 2)] == ["0", "1", "2"]


@pytest.mark.parametrize("lang", Lang)
def test_no_text_stands_twice_in_a_table(lang: Lang) -> None:
    texts = [
        form
        for key in table(lang)
        for form in forms(lang, key)
        if len(form.split()) > 4 and not key.startswith(("advice.", "reason.error"))
    ]
    assert sorted(texts) == sorted(set(texts))


def test_every_text_is_used() -> None:
    program = Path(__file__).parents[2] / "etl"
    files = [*program.rglob("*.py"), *program.rglob("*.j2")]
    source = "".join(path.read_text() for path in files)
    quoted = set(re.findall(r"""["']([\w.]+)["']""", source))
    named = {key for key in table(Lang.EN) if key.removeprefix("report.") in quoted}
    # By codes, statuses, states and lengths of periods.
    built = ("advice.", "reason.", "status.run.", "doctor.state.", "report.by_", "report.periods_")
    assert [key for key in table(Lang.EN) if key not in named and not key.startswith(built)] == []


def test_every_reason_and_status_has_its_words() -> None:
    assert all(reason in REASONS and EN.has(f"advice.{reason}") for reason in Reason)
    assert all(EN.has(f"status.run.{status}") for status in Status)


@pytest.mark.parametrize("texts", [EN, VI])
@pytest.mark.parametrize("reason", sorted(REASONS - {"error"}))
def test_whatever_a_snapshot_was_not_complete_for_says_what_to_do(
    reason: str, texts: Texts
) -> None:
    assert advice(reason, texts), reason


@pytest.mark.parametrize(
    ("setting", "environment", "expected"),
    [
        ("vi", {}, Lang.VI),
        ("en", {"LANG": "vi_VN.UTF-8"}, Lang.EN),
        ("auto", {"LANG": "vi_VN.UTF-8"}, Lang.VI),
        ("auto", {"LANG": "vi_VN.UTF-8", "LC_ALL": "C.UTF-8"}, Lang.EN),
        ("auto", {"LANG": "en_US.UTF-8", "LC_MESSAGES": "vi_VN"}, Lang.VI),
        ("auto", {}, Lang.EN),
    ],
)
def test_the_language_is_the_setting_or_that_of_the_locale(
    setting: str, environment: dict[str, str], expected: Lang
) -> None:
    assert language(setting, environment) is expected


def test_numbers_days_and_times_are_written_as_the_language_does() -> None:
    at = datetime(2026, 11, 24, 19, 5, tzinfo=UTC)
    assert (EN.number(3068), VI.number(3068)) == ("3,068", "3.068")
    assert (EN.number(-25, sign=True), EN.number(None)) == ("−25", "–")
    assert (EN.decimal(2.5), VI.decimal(2.5), EN.decimal(26.0)) == ("2.5", "2,5", "26")
    assert (EN.day(date(2026, 11, 4)), VI.day(date(2026, 11, 4))) == ("4 Nov 2026", "04/11/2026")
    assert EN.moment(at) == "24 Nov 2026, 19:05 UTC"
    assert VI.moment(at) == "02:05 25/11/2026 (+07)"


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 followers"), (1, "1 follower"), (3068, "3,068 followers")]
)
def test_one_is_one_and_many_are_many(number: int, expected: str) -> None:
    assert EN.count("followers", number) == expected
