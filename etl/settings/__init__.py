"""Settings: read once, by the CLI, into frozen values (sources.py says where they come from).

All problems are shown together, each with the name of its setting and never with the value of a
secret. The default values stand here and nowhere else.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)

from etl.errors import SettingsError
from etl.model import VIETNAM
from etl.settings import sources
from etl.settings.problems import checked

ALL = "all"
"""ESMS_OAIDS=all: every OA that GetListZOA names."""

CONCURRENCY = 4
MAX_LOOKS = 8
TOTAL_TOLERANCE = 0.005
MAX_UNFOLLOW_SHARE = 0.2
UNFOLLOW_FLOOR = 20
"""Default values that are needed where no settings are read, too (the demo, the doctor, tests)."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PLAIN_URL = re.compile(
    rf"https?://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::\d{{1,5}})?(?:/[!-~]*)?",
    re.IGNORECASE,
)

_OF_LIBPQ = re.compile(r"\s*(host|hostaddr|port|dbname|user|service)\s*=")
"""The begin of `host=db.example dbname=followers`, as psql takes it, too."""

_UNPRINTABLE = "holds a character that cannot be printed: is it pasted whole, in UTF-8?"

S = TypeVar("S", bound="_Settings")


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise ValueError("must be a time of day such as 23:40")
    return text


Seconds = Annotated[float, Field(gt=0, le=3600)]
MaxLooks = Annotated[int, Field(ge=1, le=100)]  # looks a sweep may take
Tolerance = Annotated[float, Field(ge=0, lt=1)]  # share of Total, at least 5 users
Share = Annotated[float, Field(ge=0, le=1)]  # of those who follow
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]  # HH:MM
Floor = Annotated[int, Field(ge=0)]  # users


class _Settings(BaseModel):
    model_config = ConfigDict(
        allow_inf_nan=False,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # an input may be a secret
    )

    @classmethod
    def names(cls) -> set[str]:
        """What is read of the places that settings come from, in lower case."""
        return cls.model_fields.keys() - {"oas"}


class DatabaseSettings(_Settings):
    """What every command needs that only looks into the database."""

    database_url: SecretStr = SecretStr("sqlite:///followers.db")
    """`sqlite:///FILE`, or what psql understands: `postgresql://…`. It may hold a password."""

    etl_timezone: str = VIETNAM
    """IANA name; decides with `etl_day_begins` to which day a snapshot belongs."""

    etl_day_begins: TimeOfDay = "04:00"
    """When a day begins in that zone: a reading at 03:17 tells of the day before."""

    etl_lang: Literal["auto", "en", "vi"] = "auto"
    """Language of what people read; `auto`: that of the locale."""

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().isprintable():
            raise ValueError(_UNPRINTABLE)
        if _OF_LIBPQ.match(url.get_secret_value()):
            return url
        scheme = url.get_secret_value().partition("://")[0]
        if scheme.partition("+")[0] not in {"sqlite", "postgresql", "postgres"}:
            raise ValueError("must begin with sqlite:/// or postgresql://")
        place = url.get_secret_value().partition("://")[2].partition("?")[0]
        if scheme.startswith("sqlite") and place in {"", "/", "/:memory:"}:
            raise ValueError(
                "must name a file, such as sqlite:///followers.db: "
                "each connection would have a memory of its own"
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

    @property
    def day_begins(self) -> timedelta:
        """ETL_DAY_BEGINS, as what passes between midnight and then."""
        hours, minutes = self.etl_day_begins.split(":")
        return timedelta(hours=int(hours), minutes=int(minutes))


class OaidSettings(_Settings):
    """Which OAs."""

    esms_oaids: tuple[str, ...] = ()
    """The OAs to sync and to watch, each once, in order; `("all",)` for every OA of the account."""

    @field_validator("esms_oaids", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            value = _oaids_in(value)
        return tuple(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value

    @field_validator("esms_oaids")
    @classmethod
    def _plausible(cls, oaids: tuple[str, ...]) -> tuple[str, ...]:
        if oaids == (ALL,):
            return oaids
        if ALL in oaids:
            raise ValueError("is either `all` or a list of OAs, not both")
        for oaid in oaids:
            check_oaid(oaid)
        return oaids


class WatchSettings(DatabaseSettings, OaidSettings):
    """What a command needs that shows how OAs do, by the database."""


class EsmsSettings(_Settings):
    """How to talk to eSMS."""

    esms_api_key: SecretStr
    esms_secret_key: SecretStr
    esms_base_url: str = "https://rest.esms.vn/MainService.svc/json"
    esms_page_size: Annotated[int, Field(ge=1, le=1_000_000)] = 50  # users a page
    esms_concurrency: Annotated[int, Field(ge=1, le=256)] = CONCURRENCY  # connections
    # Requests a second, all workers of the process together; 0 = no limit.
    esms_rate: Annotated[float, Field(ge=0, le=100_000)] = 20
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
                "would send the keys in clear text: use https:// (http only to a loopback address)"
            )
        if not _port_is_possible(url):
            raise ValueError("names a port that is not between 1 and 65535")
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


class ProcessSettings(DatabaseSettings):
    """What is one for the whole process, however many eSMS accounts it syncs."""

    etl_accounts_dir: Path | None = None
    """A directory for each eSMS account (accounts.py)."""

    etl_fleet_schedule: TimeOfDay = "23:40"
    """The time of day (ETL_TIMEZONE) at which `etl fleet work` syncs all accounts."""

    etl_log_format: Literal["auto", "console", "json"] = "auto"
    etl_log_level: Literal["debug", "info", "warning", "error"] = "info"
    etl_metrics_file: Path | None = None
    etl_ping_url: SecretStr | None = None  # its path is what lets one in

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


class OaSettings(_Settings):
    """What may be set for one OA: ETL_UNFOLLOW_FLOOR_4097311281936189049=50. None: as for all."""

    etl_name: Annotated[str, Field(max_length=200)] | None = None
    etl_max_looks: MaxLooks | None = None
    etl_total_tolerance: Tolerance | None = None
    etl_max_unfollow_share: Share | None = None
    etl_unfollow_floor: Floor | None = None


class Settings(EsmsSettings, OaidSettings, ProcessSettings):
    """Everything that `etl sync` needs."""

    etl_max_looks: MaxLooks = MAX_LOOKS
    etl_total_tolerance: Tolerance = TOTAL_TOLERANCE
    etl_max_unfollow_share: Share = MAX_UNFOLLOW_SHARE
    etl_unfollow_floor: Floor = UNFOLLOW_FLOOR
    oas: dict[str, OaSettings] = Field(default_factory=dict)
    """What is set for one OA, by OAID."""

    etl_windows: Literal["auto", "off"] = "auto"
    """Whether followers beyond the ceiling of the listing are read by windows of dates."""

    etl_max_runtime: Annotated[float, Field(gt=0, le=24 * 60)] = 30  # minutes an OA

    @property
    def names_of_oas(self) -> dict[str, str]:
        """The names that were set for OAs (ETL_NAME_…), by OAID."""
        return {oaid: own.etl_name for oaid, own in self.oas.items() if own.etl_name}

    def of(self, oaid: str) -> Self:
        """These settings, with what is set for one OA."""
        own = self.oas.get(oaid, OaSettings()).model_dump(exclude_none=True, exclude={"etl_name"})
        return self.model_copy(update=own) if own else self

    @property
    def max_runtime_seconds(self) -> float:
        """ETL_MAX_RUNTIME, which is in minutes, in seconds."""
        return self.etl_max_runtime * 60


class SyncedSettings(Settings):
    """For a run whose arguments name no OA."""

    esms_oaids: Annotated[tuple[str, ...], Field(min_length=1)]


def check_oaid(oaid: str) -> None:
    """Refuse what cannot be an OAID (a typing slip, a pasted line, a name).

    Raises:
        ValueError: it is anything but 1 to 64 digits.
    """
    if not re.fullmatch(r"[0-9]{1,64}", oaid):
        raise ValueError(f"names {oaid!a}, which is no OAID: an OAID is digits alone")


def missing_oaids() -> SettingsError:
    """No OA is set up, and none was named either."""
    return SettingsError(
        ["ESMS_OAIDS is missing: set it to your OAIDs, comma-separated, or to `all`"]
    )


def database_settings() -> DatabaseSettings:
    """What commands that only look into the database need.

    Raises:
        SettingsError: with every problem at once.
    """
    return _read(DatabaseSettings)


def watch_settings() -> WatchSettings:
    """What commands need that only look into the database, and at the OAs in it.

    Raises:
        SettingsError: with every problem at once.
    """
    return _read(WatchSettings)


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
    return _read(SyncedSettings if need_oaids else Settings)


def process_settings() -> ProcessSettings:
    """What one process needs that syncs several eSMS accounts (accounts.py reads those).

    Raises:
        SettingsError: with every problem at once.
    """
    return _read(ProcessSettings)


def _read(kind: type[S]) -> S:
    problems: list[str] = []
    values = sources.given(kind.names(), problems)
    return checked(kind, sources.by_oa(values, OaSettings.names(), problems), problems)


def _oaids_in(text: str) -> list[str]:
    """OAIDs as people write lists of them: with commas, semicolons or blanks, or as JSON."""
    if text.startswith("["):
        with suppress(ValueError):
            listed = json.loads(text)
            text = ",".join(map(str, listed))
    parts = [sources.unquoted(part) for part in re.split(r"[,;\s]+", text) if part]
    return [ALL if part.lower() == ALL else part for part in parts]


def _port_is_possible(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
