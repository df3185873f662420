"""The way to eSMS, the keys, and each OA."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from etl.doctor.get_followers import learned, windows
from etl.doctor.step import State, Step, failed, of_oa, tried
from etl.errors import EtlError, RefusedError, SettingsError
from etl.esms.client import EsmsClient, esms_route
from etl.esms.reach import connect, reach_proxy, resolve, silent
from etl.settings import ALL, TOTAL_TOLERANCE, esms_settings
from etl.texts import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.doctor.get_followers import Listed
    from etl.model import Account
    from etl.settings import EsmsSettings, Settings

CERTIFICATE_DAYS = 14
"""A certificate that ends sooner is worth a warning."""

ATTEMPTS = 2
"""Tries a request: the doctor tells of a fault rather than wait for it to pass."""

SECONDS = 600.0
"""How long the doctor may take in all."""


def of_esms(settings: Settings | None, chosen: Sequence[str]) -> Iterator[Step]:
    """Everything about eSMS; of each OA, what its documentation leaves open."""
    try:
        esms: EsmsSettings = settings or esms_settings()
    except SettingsError:
        yield Step(phrase("doctor.what.esms"), State.SKIPPED, phrase("doctor.wrong_settings"))
        return
    reached, keys = True, phrase("doctor.what.keys")
    for step in _reached(esms):
        reached = reached and step.state is not State.FAIL
        yield step
    if not reached:
        yield Step(keys, State.SKIPPED, phrase("doctor.keys.not_reached"))
        return
    tolerance = settings.etl_total_tolerance if settings else TOTAL_TOLERANCE
    patience = esms.model_copy(update={"esms_max_attempts": min(ATTEMPTS, esms.esms_max_attempts)})
    with EsmsClient(patience, deadline=time.monotonic() + SECONDS) as client:
        try:
            listed = client.accounts()
        except EtlError as error:
            yield failed(keys, error)
            return
        oas = ", ".join(map(_named, listed))
        found = phrase("doctor.keys.ok", oas=oas) if oas else phrase("doctor.keys.no_oas")
        yield Step(keys, State.OK, found)
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
        yield failed(phrase("doctor.what.way"), error)
        return
    if route.bundle:
        found = phrase("doctor.certificates", bundle=route.bundle)
        yield Step(phrase("doctor.what.certificates"), State.OK, found)
    if proxy := route.proxy:
        found = phrase("doctor.proxy", proxy=proxy)
        yield tried(phrase("doctor.what.proxy"), partial(reach_proxy, proxy), found)
        return
    try:
        addresses = resolve(settings)
        yield Step(phrase("doctor.what.name"), State.OK, ", ".join(addresses))
    except EtlError as error:
        yield failed(phrase("doctor.what.name"), error)
        return
    connection = phrase("doctor.what.connection")
    try:
        connected = connect(settings, route.bundle)
    except EtlError as error:
        yield failed(connection, error)
        return
    if unanswering := silent(settings):
        found = phrase("doctor.addresses.silent", addresses=", ".join(unanswering))
        what, todo = phrase("doctor.what.addresses"), phrase("doctor.addresses.todo")
        yield Step(what, State.WARN, found, todo)
    if connected.days is None:
        yield Step(connection, State.OK, phrase("doctor.connection.plain"))
        return
    found = phrase("doctor.connection.tls", tls=connected.tls, days=str(connected.days))
    if connected.days >= CERTIFICATE_DAYS:
        yield Step(connection, State.OK, found)
    else:
        yield Step(connection, State.WARN, found, phrase("doctor.connection.todo"))


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
    what = of_oa(oaid, phrase("doctor.what.registered"))
    if any(account.oaid == oaid for account in listed):
        return Step(what, State.OK, phrase("doctor.registered.ok"))
    found, todo = phrase("doctor.registered.no"), phrase("doctor.registered.todo")
    return Step(what, State.FAIL, found, todo, RefusedError.exit_code)
