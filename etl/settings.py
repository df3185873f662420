"""Settings: the environment, a `.env` file or systemd credentials, read once, by the CLI, into frozen values.

All problems are told together, each naming its setting; no value of a secret is ever told.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from etl.errors import SettingsError

ALL = "all"
"""ESMS_OAIDS=all: every OA that GetListZOA names."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PLAIN_URL = re.compile(
    rf"https?://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::\d{{1,5}})?(?:/[!-~]*)?",
    re.IGNORECASE,
)

_UNPRINTABLE = "holds a character that cannot be printed: is it pasted whole, in UTF-8?"

S = TypeVar("S", bound="_Settings")

Seconds = Annotated[float, Field(gt=0, le=3600)]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        allow_inf_nan=False,
        env_file=".env",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # an input may be a secret
        populate_by_name=True,
    )


class DatabaseSettings(_Settings):
    """What every command needs that only looks into the database."""

    database_url: SecretStr = SecretStr("sqlite:///followers.db")
    """SQLAlchemy URL; `postgresql://…` is taken as psycopg 3. It may hold a password."""

    etl_timezone: str = "Asia/Ho_Chi_Minh"
    """IANA name; decides to which day a snapshot belongs."""

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().isprintable():
            raise ValueError(_UNPRINTABLE)
        scheme = url.get_secret_value().partition("://")[0]
        if scheme.partition("+")[0] not in {"sqlite", "postgresql", "postgres"}:
            raise ValueError("must begin with sqlite:/// or postgresql://")
        place = url.get_secret_value().partition("://")[2].partition("?")[0]
        if scheme.startswith("sqlite") and place in {"", "/", "/:memory:"}:
            raise ValueError(
                "must name a file, such as sqlite:///followers.db: each connection would have a memory of its own"
            )
        return url

    @field_validator("etl_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                "is no time zone of the IANA database, such as Asia/Ho_Chi_Minh"
            ) from error
        return name

    @property
    def timezone(self) -> ZoneInfo:
        """The zone itself."""
        return ZoneInfo(self.etl_timezone)


class EsmsSettings(_Settings):
    """How to talk to eSMS."""

    esms_api_key: SecretStr
    esms_secret_key: SecretStr
    esms_base_url: str = "https://rest.esms.vn/MainService.svc/json"
    esms_page_size: Annotated[int, Field(ge=1, le=1_000_000)] = 50  # users a page
    esms_concurrency: Annotated[int, Field(ge=1, le=256)] = 4  # connections
    esms_rate: Annotated[float, Field(ge=0, le=100_000)] = (
        20  # requests a second, all workers together; 0 = no limit
    )
    esms_timeout: Seconds = 30  # seconds a request may take in all
    esms_max_attempts: Annotated[int, Field(ge=1, le=100)] = 6  # tries a request
    esms_backoff_base: Annotated[float, Field(ge=0, le=600)] = 0.5  # seconds

    @field_validator("esms_base_url")
    @classmethod
    def _https_or_loopback(cls, url: str) -> str:
        if not _PLAIN_URL.fullmatch(url) or any(sign in url for sign in "@?#"):
            raise ValueError(
                "must be a plain https:// URL without user, password, query or fragment"
            )
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError(
                "plain http would send the keys in clear text: use https:// (http only to a loopback address)"
            )
        if parts.port == 0:  # one above 65,535 is refused by reading it
            raise ValueError("Port out of range 1-65535")
        return url.rstrip("/")

    @field_validator("esms_api_key", "esms_secret_key")
    @classmethod
    def _not_blank(cls, key: SecretStr) -> SecretStr:
        stripped = key.get_secret_value().strip()
        if not stripped:
            raise ValueError("is blank")
        if not stripped.isprintable():
            raise ValueError(_UNPRINTABLE)
        return SecretStr(stripped)


class Settings(EsmsSettings, DatabaseSettings):
    """Everything that `etl sync` needs."""

    esms_oaids: Annotated[tuple[str, ...], NoDecode] = ()
    """The OAs to sync, each once, in order; `("all",)` for every OA of the account."""

    etl_max_looks: Annotated[int, Field(ge=1, le=100)] = 8  # readings of the list a sweep may take
    etl_total_tolerance: Annotated[float, Field(ge=0, lt=1)] = (
        0.005  # share of Total that may stay unseen, at least 5 users
    )
    etl_max_unfollow_share: Annotated[float, Field(ge=0, le=1)] = 0.2  # of those who follow
    etl_unfollow_floor: Annotated[int, Field(ge=0)] = 20  # users
    etl_max_runtime: Annotated[float, Field(gt=0, le=24 * 60)] = 30  # minutes a run
    etl_log_format: Literal["auto", "console", "json"] = "auto"
    etl_log_level: Literal["debug", "info", "warning", "error"] = "info"
    etl_metrics_file: Path | None = None
    etl_ping_url: SecretStr | None = None  # its path is what lets one in

    @field_validator("esms_oaids", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value

    @field_validator("esms_oaids")
    @classmethod
    def _plausible(cls, oaids: tuple[str, ...]) -> tuple[str, ...]:
        for oaid in oaids:
            check_oaid(oaid)
        if ALL in oaids and len(oaids) > 1:
            raise ValueError("is either `all` or a list of OAs, not both")
        return oaids

    @field_validator("etl_ping_url")
    @classmethod
    def _http(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            known = url is None or urlsplit(url.get_secret_value()).scheme in {"https", "http"}
        except ValueError:  # its words quote the URL, and a password with it
            known = False
        if not known:
            raise ValueError("must be an http(s):// URL")
        return url

    @property
    def max_runtime_seconds(self) -> float:
        """ETL_MAX_RUNTIME, which is in minutes, in seconds."""
        return self.etl_max_runtime * 60


class _SettingsWithOaids(Settings):
    """For a run whose arguments name no OA."""

    esms_oaids: Annotated[tuple[str, ...], NoDecode, Field(min_length=1)]


def check_oaid(oaid: str) -> None:
    """Refuse what cannot be an OAID (a typing slip, a pasted line).

    Raises:
        ValueError: it is longer than 64 characters, or holds blanks or unprintable characters.
    """
    if not 0 < len(oaid) <= 64 or not oaid.isprintable() or any(char.isspace() for char in oaid):  # noqa: PLR2004 - thrice what is known
        raise ValueError(f"{oaid!r} is no OAID")


def database_settings() -> DatabaseSettings:
    """What commands that only look into the database need.

    Raises:
        SettingsError: with every problem at once.
    """
    return _read(DatabaseSettings)


def esms_settings() -> EsmsSettings:
    """What commands that only ask the API need.

    Raises:
        SettingsError: with every problem at once.
    """
    return _read(EsmsSettings)


def sync_settings(*, need_oaids: bool = False) -> Settings:
    """Everything; ESMS_OAIDS too, where `need_oaids`.

    Raises:
        SettingsError: with every problem at once.
    """
    return _read(_SettingsWithOaids if need_oaids else Settings)


def _read(kind: type[S]) -> S:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    secrets = credentials if credentials and Path(credentials).is_dir() else None
    try:
        return kind(_secrets_dir=secrets)  # type: ignore[call-arg]  # an argument of BaseSettings that its typed signature hides
    except ValidationError as error:
        # `from None`: pydantic's own traceback would show inputs.
        raise SettingsError(
            [_problem(each["loc"], each["type"], each["msg"]) for each in error.errors()]
        ) from None
    except UnicodeDecodeError:
        raise SettingsError([".env could not be read: it is no UTF-8 text"]) from None
    except (OSError, ValueError) as error:
        # Of a credential; pydantic-settings names its field.
        raise SettingsError([f"the settings could not be read: {error}"]) from None


def _problem(where: tuple[int | str, ...], kind: str, message: str) -> str:
    """One sentence that names the setting, as an operator writes it, and never its value."""
    name = str(where[0]).upper() if where else "settings"
    if kind == "missing":
        return f"{name} is missing: set it in the environment, in .env or in $CREDENTIALS_DIRECTORY"
    return f"{name} {message.removeprefix('Value error, ').removeprefix('Input ')}"
