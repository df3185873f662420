"""Whether eSMS can be reached at all: its name, its port, its certificate.

What `etl doctor` asks before any call.
"""

from __future__ import annotations

import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests.utils

from etl.errors import EsmsUnavailableError, ImpossibleAnswerError
from etl.transport import connecting
from etl.transport.route import system_words

if TYPE_CHECKING:
    from etl.settings import EsmsSettings
    from etl.transport.route import Bundle, Proxy

CONNECT_SECONDS = 10.0

SILENT_SECONDS = 3.0
"""How long an address may take to answer before the doctor calls it silent."""

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that worked.

    `tls` is its version, `days` how long the certificate is valid; None where it is plain http.
    """

    tls: str | None
    days: int | None


def resolve(settings: EsmsSettings) -> list[str]:
    """The addresses of ESMS_BASE_URL's host.

    Raises:
        EsmsUnavailableError: its name does not resolve.
    """
    host, port = _host(settings)
    try:
        found = connecting.addresses(host, port, time.monotonic() + CONNECT_SECONDS)
    except OSError as error:
        raise EsmsUnavailableError(
            f"the name {host} does not resolve ({system_words(error)})",
            hint="Check ESMS_BASE_URL and DNS.",
        ) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def silent(settings: EsmsSettings) -> list[str]:
    """Those of the host's addresses that do not answer within SILENT_SECONDS, while others may.

    Raises:
        EsmsUnavailableError: its name does not resolve.
    """
    found = resolve(settings)
    if len(found) == 1:
        return []  # whether it answers, `connect` says
    _, port = _host(settings)

    def answers(address: str) -> bool:
        try:
            connecting.connect(address, port, SILENT_SECONDS).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(max_workers=len(found)) as threads:
        answered = list(threads.map(answers, found))
    return [address for address, well in zip(found, answered, strict=True) if not well]


def reach_proxy(proxy: Proxy) -> None:
    """Connect to a proxy, and hang up.

    Raises:
        EsmsUnavailableError: nobody answers there.
    """
    host, port = proxy.address
    try:
        connecting.connect(host, port, CONNECT_SECONDS).close()
    except OSError as error:
        raise EsmsUnavailableError(
            f"{proxy} does not answer ({system_words(error)})",
            hint=f"Check {proxy.variable} and the proxy.",
        ) from error


def connect(settings: EsmsSettings, bundle: Bundle | None) -> Connected:
    """Connect, greet, hang up.

    `bundle`: the certificates that are trusted, where the environment names some.

    Raises:
        EsmsUnavailableError: nobody answers there, or TLS fails.
        ImpossibleAnswerError: the certificate cannot be verified.
    """
    host, port = _host(settings)
    timeout = min(settings.esms_timeout, CONNECT_SECONDS)
    try:
        with connecting.connect(host, port, timeout) as plain:
            if urlsplit(settings.esms_base_url).scheme == "http":
                return Connected(None, None)
            with _context(bundle).wrap_socket(plain, server_hostname=host) as secured:
                certificate = secured.getpeercert() or {}
                ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
                return Connected(secured.version(), int((ends - time.time()) // _DAY))
    except ssl.SSLCertVerificationError as error:
        raise ImpossibleAnswerError(
            f"the TLS certificate of {host} could not be verified: {error.verify_message}",
            hint="Check ESMS_BASE_URL, this machine's clock, and REQUESTS_CA_BUNDLE "
            "where a firewall opens TLS.",
        ) from error
    except OSError as error:
        raise EsmsUnavailableError(
            f"no connection to {host}, port {port} ({system_words(error)})",
            hint="Check ESMS_BASE_URL, the network and the firewall.",
        ) from error


def _host(settings: EsmsSettings) -> tuple[str, int]:
    parts = urlsplit(settings.esms_base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _context(bundle: Bundle | None) -> ssl.SSLContext:
    """Trusts whom the client trusts."""
    path = bundle.path if bundle else Path(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    if path.is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
