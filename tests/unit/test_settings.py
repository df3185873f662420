"""Settings: every problem at once, each by the name of its setting, and never the value of a
secret."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from etl.errors import SettingsError
from etl.esms.client import EsmsClient
from etl.settings import (
    EsmsSettings,
    Settings,
    check_oaid,
    database_settings,
    esms_settings,
    sync_settings,
)

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"ESMS_API_KEY": "the-api-key", "ESMS_SECRET_KEY": "the-secret-key"}

WRONG = {
    "ESMS_API_KEY": ["   ", "\t"],
    "ESMS_SECRET_KEY": ["   ", "\n"],
    "ESMS_OAIDS": ["all,123", "shop", "1-2", "1" * 65, "12\x1b", "１２", "4097.0", '["1", "2'],
    "ESMS_BASE_URL": [
        "http://rest.esms.vn/json", "http://127.0.0.1.evil.example/", "ftp://rest.esms.vn", "rest.esms.vn", "https://", "https:///x",
        "https://me:pass@rest.esms.vn", "https://me@rest.esms.vn", "https://rest.esms.vn?x=1", "https://rest.esms.vn/?",
        "https://rest.esms.vn/#x", "https://rest.esms.vn:port", "https://rest.esms.vn:99999", "https://rest.esms.vn:0",
        "https://rest esms.vn", "https://*.esms.vn", "https://rest..vn", "https://[::1", "https://rest.esms.vn/a b",
        "https://rest.esms.vn/\u2028", "http://[::2]/", "http://0.0.0.0/", "http://localhost.example/",
    ],
    "ESMS_PAGE_SIZE": ["0", "-1", "1.5", "fifty", "1000001", "1e2", "nan"],
    "ESMS_CONCURRENCY": ["0", "-1", "257", "two"],
    "ESMS_RATE": ["-0.1", "nan", "inf", "fast", "1e9"],
    "ESMS_TIMEOUT": ["0", "-1", "nan", "inf", "3601", "30s"],
    "ESMS_MAX_ATTEMPTS": ["0", "101", "x", "2.5"],
    "ESMS_BACKOFF_BASE": ["-1", "nan", "601", "x"],
    "DATABASE_URL": ["mysql://root:pass@db/x", "followers.db", "   ", "file:///x", "postgresql:/x", "sqlite:///:memory:"],
    "ETL_LANG": ["fr", "VI"],
    "ETL_WINDOWS": ["on", "OFF"],
    "ETL_FLEET_SCHEDULE": ["24:00", "23:60", "2340", "daily", "23:40:00", "9:00", "１2:00"],
    "ETL_TIMEZONE": ["Mars/Olympus", "+07:00", "../../etc/passwd", "Asia", "/etc/localtime", "x" * 300, "\x01"],
    "ETL_DAY_BEGINS": ["24:00", "04:60", "0400", "4:00", "04:00:00", "4", "morning", "０4:00"],
    "ETL_MAX_LOOKS": ["0", "101", "x"],
    "ETL_TOTAL_TOLERANCE": ["-0.1", "1", "1.5", "nan", "0.5%"],
    "ETL_MAX_UNFOLLOW_SHARE": ["-0.1", "1.1", "nan", "20%"],
    "ETL_UNFOLLOW_FLOOR": ["-1", "x", "1.5"],
    "ETL_MAX_RUNTIME": ["0", "-1", "inf", "nan", "1441", "30m"],
    "ETL_LOG_FORMAT": ["yaml", "JSON"],
    "ETL_LOG_LEVEL": ["trace", "DEBUG"],
    "ETL_PING_URL": ["ftp://x", "hc-ping.com/uuid", "https", "https://user:topsecret\u2100x@hc.example/abc"],
}  # fmt: skip
"""Every setting but paths (any may come true): values that must be refused."""

PATHS = {"ETL_METRICS_FILE", "ETL_ACCOUNTS_DIR"}

SECRET = {"ESMS_API_KEY", "ESMS_SECRET_KEY", "DATABASE_URL", "ETL_PING_URL"}


def set_all(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in (KEYS | values).items():
        monkeypatch.setenv(name, value)


def problems() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        sync_settings()
    assert caught.value.exit_code == 78
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_setting_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    set_all(monkeypatch, **{name: value})
    (problem,) = problems()
    assert problem.startswith(f"{name} ")
    assert problem.isprintable()
    for words in ("Value error", "Input", "string", "parse", "integer", "pattern"):
        assert words not in problem
    if name in SECRET and value.strip():
        assert value not in problem
        assert "pass" not in problem


def test_a_limit_is_told_in_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, ESMS_PAGE_SIZE="1000001")
    assert problems() == ["ESMS_PAGE_SIZE must be at most 1000000"]


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("how", ["unset", "empty"])
def test_a_missing_key_is_told_with_the_places_where_it_can_be_set(
    monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    set_all(monkeypatch)
    monkeypatch.setenv(name, "") if how == "empty" else monkeypatch.delenv(name)
    (problem,) = problems()
    assert problem.startswith(f"{name} is missing")
    for place in ("environment", ".env", "$CREDENTIALS_DIRECTORY"):
        assert place in problem


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in WRONG.items():
        monkeypatch.setenv(name, values[0])
    told = problems()
    assert sorted(problem.split()[0] for problem in told) == sorted(WRONG)
    with pytest.raises(SettingsError) as caught:
        sync_settings()
    assert all(problem in str(caught.value) for problem in told)


def test_every_setting_is_in_the_table_of_wrong_ones() -> None:
    assert {name.upper() for name in Settings.names()} == WRONG.keys() | PATHS


def test_unset_settings_have_their_documented_values_and_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch)
    settings = sync_settings()
    assert settings.esms_base_url == "https://rest.esms.vn/MainService.svc/json"
    assert (settings.esms_page_size, settings.esms_concurrency, settings.esms_rate) == (50, 4, 20)
    assert (settings.esms_timeout, settings.esms_max_attempts, settings.esms_backoff_base) == (
        30,
        6,
        0.5,
    )
    assert settings.database_url.get_secret_value() == "sqlite:///followers.db"
    assert str(settings.timezone) == settings.etl_timezone == "Asia/Ho_Chi_Minh"
    assert settings.day_begins == timedelta(hours=4)
    assert (settings.etl_max_looks, settings.etl_total_tolerance) == (8, 0.005)
    assert (settings.etl_max_unfollow_share, settings.etl_unfollow_floor) == (0.2, 20)
    assert (settings.etl_max_runtime, settings.max_runtime_seconds) == (30, 1800)
    assert settings.esms_oaids == ()
    assert (settings.etl_windows, settings.etl_lang) == ("auto", "auto")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch,
        ESMS_RATE="",
        DATABASE_URL="",
        ESMS_OAIDS="",
        ETL_PING_URL="",
        ETL_METRICS_FILE="",
    )
    settings = sync_settings()
    assert (settings.esms_rate, settings.etl_ping_url, settings.etl_metrics_file) == (
        20,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("given_oaids", "taken"),
    [
        ("4097311281936189049", ("4097311281936189049",)),
        (" 1 , 2,\n3,", ("1", "2", "3")),
        ("2,1,2,2,1", ("2", "1")),
        ("all", ("all",)),
        (" , ", ()),
        ('"4097311281936189049"', ("4097311281936189049",)),
        ("“4097311281936189049”", ("4097311281936189049",)),
        ("'1','2'", ("1", "2")),
        ("1;2", ("1", "2")),
        ("1 2", ("1", "2")),
        ('["4097311281936189049"]', ("4097311281936189049",)),
        ("[4097311281936189049, 1]", ("4097311281936189049", "1")),
        ("'all'", ("all",)),
        ("ALL", ("all",)),
        ('["All"]', ("all",)),
    ],
)
def test_oaids_are_read_however_a_list_is_written_and_each_is_taken_once_in_order(
    monkeypatch: pytest.MonkeyPatch, given_oaids: str, taken: tuple[str, ...]
) -> None:
    set_all(monkeypatch, ESMS_OAIDS=given_oaids)
    assert sync_settings().esms_oaids == taken


@pytest.mark.parametrize(
    "oaid", ["", " ", "1 2", "1\n", "\0", "1" * 65, "shop", "all", "１", "\u200b", "\ud800"]
)
def test_what_cannot_be_an_oaid_is_refused(oaid: str) -> None:
    with pytest.raises(ValueError, match="is no OAID"):
        check_oaid(oaid)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/json",
        "http://localhost/json",
        "http://[::1]:9/json",
        "HTTP://LOCALHOST/json",
    ],
)
def test_plain_http_is_taken_to_a_loopback_address(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    set_all(monkeypatch, ESMS_BASE_URL=f"{url}/")
    assert sync_settings().esms_base_url == url


def test_keys_are_stripped_of_the_line_end_that_an_editor_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch, ESMS_API_KEY=" the-api-key\n")
    assert sync_settings().esms_api_key.get_secret_value() == "the-api-key"


@pytest.mark.parametrize("quoted", ['"{}"', "'{}'", '" {}"', " '{}'\n", "“{}”"])
@pytest.mark.parametrize("where", ["environment", ".env", "credentials"])
def test_quotes_around_any_value_are_taken_off_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str, quoted: str
) -> None:
    values = KEYS | {"ESMS_OAIDS": "1", "ESMS_RATE": "7", "DATABASE_URL": "sqlite:///x.db"}
    for name, value in values.items():
        text = quoted.format(value)
        if where == "environment":
            monkeypatch.setenv(name, text)
        elif where == "credentials":
            (tmp_path / name).write_text(text)
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        else:
            with (tmp_path / ".env").open("a") as file:
                file.write(f"{name}={text.strip()}\n")
    settings = sync_settings(need_oaids=True)
    assert settings.esms_api_key.get_secret_value() == "the-api-key"
    assert settings.database_url.get_secret_value() == "sqlite:///x.db"
    assert (settings.esms_oaids, settings.esms_rate) == (("1",), 7)


@pytest.mark.parametrize(
    "key",
    [
        "a${HOME}b",
        "$HOME",
        "${ESMS_API_KEY:-x}",
        "a'b",
        "`id`",
        "$(id)",
        r"a\tb\nc",
        r"\d\x41",
        "a#b",
    ],
)
@pytest.mark.parametrize("line", ["{}", '"{}"', "'{}'", " {} "])
@pytest.mark.parametrize("export", ["", "export "])
def test_an_env_file_is_no_script(tmp_path: Path, key: str, line: str, export: str) -> None:
    if line == "'{}'" and "'" in key:
        return
    text = f"ESMS_API_KEY=first\n{export}ESMS_SECRET_KEY={line.format(key)}\n"
    (tmp_path / ".env").write_text(text)
    assert sync_settings().esms_secret_key.get_secret_value() == key


@pytest.mark.parametrize(
    "line", ["ESMS_API_KEY='it''s'", "export ESMS_API_KEY='ab", "ESMS_API_KEY: ab"]
)
def test_a_line_of_an_env_file_that_cannot_be_understood_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], line: str
) -> None:
    (tmp_path / ".env").write_text(f"ESMS_OAIDS=1\n{line}\nESMS_SECRET_KEY=s\n")
    with pytest.raises(SettingsError) as refused:
        sync_settings(need_oaids=True)
    assert refused.value.problems == [".env, line 2 could not be read: write ESMS_API_KEY=value"]
    assert capfd.readouterr() == ("", "")


def test_a_line_of_an_env_file_that_is_of_another_program_is_left_to_it(tmp_path: Path) -> None:
    text = "ESMS_API_KEY=k\nMOTTO='don't'\n?\nESMS_SECRET_KEY=s\n"
    (tmp_path / ".env").write_text(text)
    assert sync_settings().esms_secret_key.get_secret_value() == "s"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    url=st.one_of(
        st.from_regex(r"\Ahttps://[a-z0-9.:@\[\]/?#%é*_ -]{0,12}\Z"),
        st.text().map("https://".__add__),
        st.tuples(st.sampled_from(["x.vn", "[::1]", "127.0.0.1", "a_b"]), st.text(max_size=6)).map(
            lambda parts: "https://" + "".join(parts)
        ),
    )
)
@example("https://[fe80::1%25eth0]/")
@example("https://[v1.x]/")
@example("https://[::]]/")
@example("https://1:2:3/")
@example("https://:::/")
def test_whatever_base_url_is_taken_is_one_that_can_be_asked(url: str) -> None:
    try:
        settings = EsmsSettings.model_validate(
            {"esms_base_url": url, "esms_api_key": "k", "esms_secret_key": "s"}
        )
    except ValueError:
        return
    with EsmsClient(settings) as client:
        assert url.rstrip("/") in repr(client)


# -- where they come from --------------------------------------------------------------------------


def test_the_environment_outranks_the_env_file_and_that_the_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in ("ESMS_API_KEY", "ESMS_SECRET_KEY", "DATABASE_URL"):
        (credentials / name).write_text(f"sqlite:///credential-{name}\n")
    (tmp_path / ".env").write_text(
        "# ours\nESMS_SECRET_KEY=file\nDATABASE_URL=sqlite:///file # where\nUNRELATED=1\n"
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("DATABASE_URL", "sqlite:///environment")

    settings = sync_settings()

    assert settings.database_url.get_secret_value() == "sqlite:///environment"
    assert settings.esms_secret_key.get_secret_value() == "file"
    assert settings.esms_api_key.get_secret_value() == "sqlite:///credential-ESMS_API_KEY"


@pytest.mark.parametrize("spelt", ["ESMS_API_KEY", "esms_api_key"])
def test_systemd_credentials_alone_are_enough_in_capitals_or_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spelt: str
) -> None:
    (tmp_path / spelt).write_text("the-api-key\n")
    (tmp_path / "esms_secret_key").write_text("the-secret-key")
    (tmp_path / "esms_oaids").write_text("1,2\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = sync_settings()
    assert settings.esms_api_key.get_secret_value() == "the-api-key"
    assert settings.esms_oaids == ("1", "2")


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_a_credentials_directory_that_is_none_leaves_the_keys_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: str
) -> None:
    if there == "a file":
        (tmp_path / "gone").write_text("x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "gone"))
    assert [problem.split(":")[0] for problem in problems()] == [
        "ESMS_API_KEY is missing",
        "ESMS_SECRET_KEY is missing",
    ]


@pytest.mark.parametrize("where", [".env", "credentials/esms_api_key"])
def test_a_file_that_is_no_text_is_told_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / where).write_bytes(b"ESMS_API_KEY=tell-nobody\xff\xfe\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (problem,) = problems()
    assert "could not be read" in problem
    assert "tell-nobody" not in problem


def test_a_file_that_cannot_be_read_hides_no_other_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(b"\xff")
    (tmp_path / "ESMS_API_KEY").write_bytes(b"\xfe")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("ESMS_RATE", "fast")
    told = " ".join(problems())
    for name in (".env could not", "ESMS_API_KEY could not", "ESMS_RATE"):
        assert name in told
    assert "is missing" not in told  # it may stand where nobody could read


def test_a_key_that_is_no_text_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, ESMS_API_KEY="tell-nobody\udcff")
    (problem,) = problems()
    assert problem.startswith("ESMS_API_KEY ")
    assert "tell-nobody" not in problem


def test_commands_that_only_read_need_no_keys_and_those_that_only_ask_no_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///mine.db")
    assert database_settings().database_url.get_secret_value() == "sqlite:///mine.db"
    set_all(monkeypatch, DATABASE_URL="mysql://x")
    assert esms_settings().esms_api_key.get_secret_value() == "the-api-key"
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        database_settings()


def test_settings_are_frozen_and_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch,
        DATABASE_URL="postgresql://me:the-password@db/x",
        ETL_PING_URL="https://hc-ping.com/the-uuid",
    )
    settings = sync_settings()
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    for secret in ("the-api-key", "the-secret-key", "the-password", "the-uuid"):
        assert secret not in shown
    with pytest.raises(ValueError, match="frozen"):
        settings.esms_rate = 5


# -- as an operator meets it -----------------------------------------------------------------------


def run_sync(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "etl", "sync", "--json"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_sync_without_settings_names_them_all_and_exits_with_78() -> None:
    done = run_sync(ESMS_RATE="fast", ETL_TIMEZONE="Mars")
    assert (done.returncode, done.stdout) == (78, "")
    for name in ("ESMS_API_KEY", "ESMS_SECRET_KEY", "ESMS_OAIDS", "ESMS_RATE", "ETL_TIMEZONE"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "url", ["sqlite://me:the-password@host/x", "postgresql://me:the-password@host:port/x"]
)
def test_a_database_url_that_cannot_be_understood_exits_with_78_and_is_not_quoted(url: str) -> None:
    done = run_sync(**KEYS, ESMS_OAIDS="1", DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (78, "")
    assert "DATABASE_URL " in done.stderr
    assert "the-password" not in done.stderr
