"""The way to eSMS, the keys, and each OA."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from etl.doctor.get_followers import learned, windows
from etl.doctor.step import State, Step, failed, tried
from etl.errors import EtlError, RefusedError, SettingsError
from etl.esms.client import EsmsClient, esms_route
from etl.esms.reach import connect, reach_proxy, resolve, silent
from etl.settings import ALL, TOTAL_TOLERANCE, esms_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.doctor.get_followers import Listed
    from etl.model import Account
    from etl.settings import EsmsSettings, Settings

CERTIFICATE_DAYS = 14

ATTEMPTS = 2
"""Tries a request: the doctor tells of a fault rather than wait for it to pass."""

SECONDS = 600.0
"""How long the doctor may take in all."""


def of_esms(settings: Settings | None, chosen: Sequence[str]) -> Iterator[Step]:
    """Everything about eSMS; of each OA, what its documentation leaves open."""
    try:
        esms: EsmsSettings = settings or esms_settings()
    except SettingsError:
        yield Step("eSMS", State.SKIPPED, "its settings are wrong")
        return
    reached = True
    for step in _reached(esms):
        reached = reached and step.state is not State.FAIL
        yield step
    if not reached:
        yield Step("eSMS: keys", State.SKIPPED, "eSMS is not reached")
        return
    tolerance = settings.etl_total_tolerance if settings else TOTAL_TOLERANCE
    patience = esms.model_copy(update={"esms_max_attempts": min(ATTEMPTS, esms.esms_max_attempts)})
    with EsmsClient(patience, deadline=time.monotonic() + SECONDS) as client:
        try:
            listed = client.accounts()
        except EtlError as error:
            yield failed("eSMS: keys", error)
            return
        yield Step(
            "eSMS: keys",
            State.OK,
            f"accepted; OAs of the account: {', '.join(map(_named, listed)) or 'none'}",
        )
        lists: dict[str, Listed] = {}
        for oaid in _asked_for(chosen, settings, listed):
            step = registered(oaid, listed)
            yield step
            # Asked all the same: what GetListZOA leaves out may be served.
            yield from learned(client, oaid, patience, tolerance, lists)
        yield from windows(client, settings, lists)


def _reached(settings: EsmsSettings) -> Iterator[Step]:
    try:
        route = esms_route(settings)
    except SettingsError as error:
        yield failed("eSMS: way", error)
        return
    if route.bundle:
        yield Step("eSMS: certificates", State.OK, f"{route.bundle} are trusted, and no others")
    if proxy := route.proxy:
        yield tried("eSMS: proxy", partial(reach_proxy, proxy), f"{proxy} answers")
        return
    try:
        addresses = resolve(settings)
        yield Step("eSMS: name", State.OK, ", ".join(addresses))
    except EtlError as error:
        yield failed("eSMS: name", error)
        return
    try:
        connected = connect(settings, route.bundle)
    except EtlError as error:
        yield failed("eSMS: connection", error)
        return
    if deaf := silent(settings):
        yield Step(
            "eSMS: addresses",
            State.WARN,
            f"{', '.join(deaf)} did not answer, others did",
            "Syncs go on by the others, and lose a moment with each new connection. "
            "Ask whoever runs the network (often it is IPv6 that leads nowhere).",
        )
    if connected.days is None:
        yield Step("eSMS: connection", State.OK, "plain http, on this machine")
        return
    told = f"{connected.tls}, the certificate is valid for {connected.days} days"
    if connected.days >= CERTIFICATE_DAYS:
        yield Step("eSMS: connection", State.OK, told)
    else:
        yield Step(
            "eSMS: connection",
            State.WARN,
            told,
            "Tell eSMS, unless the certificate is a firewall's.",
        )


def _named(account: Account) -> str:
    return f"{account.oaid} ({account.name})" if account.name else account.oaid


def _asked_for(
    chosen: Sequence[str], settings: Settings | None, listed: Sequence[Account]
) -> list[str]:
    oaids = list(chosen) or list(settings.esms_oaids if settings else ())
    return (
        list(dict.fromkeys(account.oaid for account in listed))
        if oaids == [ALL]
        else list(dict.fromkeys(oaids))
    )


def registered(oaid: str, listed: Sequence[Account]) -> Step:
    """Whether GetListZOA names the OA."""
    name = f"OA {oaid}: registered"
    if any(account.oaid == oaid for account in listed):
        return Step(name, State.OK, "at eSMS, in this account")
    advice = "Check the OAID; a new OA must be registered at eSMS first."
    return Step(
        name,
        State.FAIL,
        "eSMS does not name it among this account's OAs",
        advice,
        RefusedError.exit_code,
    )
