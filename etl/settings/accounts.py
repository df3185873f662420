"""Several eSMS accounts: ETL_ACCOUNTS_DIR holds a directory for each, named as the account.

    shop/settings.env       NAME=value lines
    shop/ESMS_API_KEY       the keys, one a file; any other setting may be such a file, too
    shop/ESMS_SECRET_KEY

What an account does not set comes from where all settings come from; but its keys and its OAs are
its own, and what all accounts share (the database, the time zone) is set outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from etl.errors import SettingsError, UsageError
from etl.settings import (
    ALL,
    OaSettings,
    ProcessSettings,
    Settings,
    SyncedSettings,
    process_settings,
    sources,
)
from etl.settings.problems import checked

OWN = frozenset({"esms_api_key", "esms_secret_key", "esms_oaids"})
"""Never from outside: it would be another account's."""

NOTIFIED = frozenset({"etl_metrics_file", "etl_ping_url"})

SHARED = frozenset(ProcessSettings.names()) - NOTIFIED
"""One for all accounts."""

SETTINGS_FILE = "settings.env"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class EsmsAccount:
    """One eSMS account, and its settings."""

    name: str
    settings: Settings


def _directory(shared: ProcessSettings) -> Path:
    if shared.etl_accounts_dir is None:
        raise SettingsError(
            ["ETL_ACCOUNTS_DIR is missing: set it to the directory that holds one for each account"]
        )
    return shared.etl_accounts_dir


def account_names(shared: ProcessSettings) -> list[str]:
    """The accounts that ETL_ACCOUNTS_DIR holds.

    Raises:
        SettingsError: it is missing, cannot be read, or holds none.
    """
    directory = _directory(shared)
    try:
        # Hidden ones are of the system (Kubernetes keeps the versions of a secret in such).
        names = sorted(
            each.name
            for each in directory.iterdir()
            if each.is_dir() and not each.name.startswith(".")
        )
    except OSError as error:
        raise SettingsError(
            [f"ETL_ACCOUNTS_DIR {directory} cannot be read: {error.strerror}"]
        ) from error
    if not names:
        raise SettingsError([f"ETL_ACCOUNTS_DIR {directory} holds no directory of an account"])
    return names


def esms_accounts(chosen: str = ALL) -> tuple[ProcessSettings, list[EsmsAccount]]:
    """What is one for all accounts, and one account or all of them.

    Raises:
        SettingsError: with every problem of every account at once.
        UsageError: there is no such account.
    """
    problems: list[str] = []
    try:
        shared = process_settings()
    except SettingsError as error:  # those of the accounts are shown with them
        problems += error.problems
        directory = sources.given({"etl_accounts_dir"}, []).get("etl_accounts_dir")
        shared = ProcessSettings(etl_accounts_dir=Path(directory) if directory else None)
    try:
        names = account_names(shared)
    except SettingsError as error:
        raise SettingsError([*problems, *error.problems]) from error
    if chosen != ALL and chosen not in names:
        raise UsageError(f"there is no account {chosen!a} (there: {', '.join(names)})")
    found: list[EsmsAccount] = []
    for name in names if chosen == ALL else [chosen]:
        try:
            found.append(_account(shared, name))
        except SettingsError as error:
            problems += [f"account {name}: {problem}" for problem in error.problems]
    problems += _twice(found)
    if problems:
        raise SettingsError(problems)
    return shared, found


def _account(shared: ProcessSettings, name: str) -> EsmsAccount:
    if not _NAME.fullmatch(name) or name == ALL:
        raise SettingsError(["a name is lower-case letters, digits and hyphens, and not `all`"])
    directory = _directory(shared) / name
    problems = _foreign(directory)
    names = Settings.names()
    outside = sources.given(names, [])  # its problems are told where the shared settings are read
    own = sources.from_directory(directory, names, problems)
    own |= sources.from_env_file(directory / SETTINGS_FILE, names, problems)
    problems += [
        f"{each.upper()} is one for all accounts: set it outside of {directory}"
        for each in sorted(SHARED & own.keys())
        if own[each] != outside.get(each)
    ]
    values = {each: value for each, value in outside.items() if each not in OWN | SHARED} | own
    settings = checked(
        SyncedSettings,
        sources.by_oa(values, OaSettings.names(), problems),
        problems,
        missing=f"set it in {directory / SETTINGS_FILE}, or in a file of that name beside it",
    )
    update = {each: getattr(shared, each) for each in SHARED}
    # A ping or a metrics file that several accounts share is for a run of all of them.
    update |= dict.fromkeys(NOTIFIED - own.keys())
    return EsmsAccount(name, settings.model_copy(update=update))


def _foreign(directory: Path) -> list[str]:
    """Files that are no setting: with a slip in its name, a key would be missing, or another's."""
    try:
        files = sorted(each.name for each in directory.iterdir())
    except OSError as error:
        return [f"{directory} cannot be read: {error.strerror}"]
    known = Settings.names()
    return [
        f"{directory / file} is no setting: take it away, or correct its name"
        for file in files
        if file != SETTINGS_FILE and not file.startswith(".") and not sources.is_sought(file, known)
    ]


def _twice(accounts: list[EsmsAccount]) -> list[str]:
    """An OA of two accounts would be read twice, and by two at once."""
    holders: dict[str, list[str]] = {}
    for account in accounts:
        for oaid in account.settings.esms_oaids:
            if oaid != ALL:
                holders.setdefault(oaid, []).append(account.name)
    return [
        f"OA {oaid} is in several accounts ({', '.join(names)}): leave it in one"
        for oaid, names in holders.items()
        if len(names) > 1
    ]
