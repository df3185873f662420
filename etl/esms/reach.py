"""Whether eSMS can be reached at all: its name, its port, its certificate. What `etl doctor` asks before any call."""

from __future__ import annotations

import os
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests.utils

from etl.errors import EsmsUnavailableError, ImpossibleAnswerError

if TYPE_CHECKING:
    from etl.settings import EsmsSettings

CONNECT_SECONDS = 10.0

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that worked. `tls` is its version, `days` how long the certificate is valid; None where it is plain http."""

    tls: str | None
    days: int | None


def proxy_of(settings: EsmsSettings) -> bool:
    """Whether the environment sends us through a proxy, so that name and certificate are the proxy's matter."""
    return bool(requests.utils.get_environ_proxies(settings.esms_base_url))


def resolve(settings: EsmsSettings) -> list[str]:
    """The addresses of ESMS_BASE_URL's host.

    Raises:
        EsmsUnavailableError: its name does not resolve.
    """
    host, port = _host(settings)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _unreachable(
            f"the name {host} does not resolve ({_words(error)})", "Check ESMS_BASE_URL and DNS."
        ) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def connect(settings: EsmsSettings) -> Connected:
    """Connect, greet, hang up.

    Raises:
        EsmsUnavailableError: nobody answers there, or TLS fails.
        ImpossibleAnswerError: the certificate cannot be verified.
    """
    host, port = _host(settings)
    timeout = min(settings.esms_timeout, CONNECT_SECONDS)
    try:
        with socket.create_connection((host, port), timeout=timeout) as plain:
            if urlsplit(settings.esms_base_url).scheme == "http":
                return Connected(None, None)
            with _context().wrap_socket(plain, server_hostname=host) as secured:
                certificate = secured.getpeercert() or {}
                ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
                return Connected(secured.version(), int((ends - time.time()) // _DAY))
    except ssl.SSLCertVerificationError as error:
        refused = ImpossibleAnswerError(
            f"the TLS certificate of {host} could not be verified: {error.verify_message}"
        )
        refused.hint = "Check ESMS_BASE_URL, this machine's clock, and REQUESTS_CA_BUNDLE where a firewall opens TLS."
        raise refused from error
    except OSError as error:
        words = f"no connection to {host}, port {port} ({_words(error)})"
        raise _unreachable(words, "Check ESMS_BASE_URL, the network and the firewall.") from error


def _host(settings: EsmsSettings) -> tuple[str, int]:
    parts = urlsplit(settings.esms_base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _context() -> ssl.SSLContext:
    """Trusts whom the client trusts."""
    bundle = (
        os.environ.get("REQUESTS_CA_BUNDLE")
        or os.environ.get("CURL_CA_BUNDLE")
        or requests.utils.DEFAULT_CA_BUNDLE_PATH
    )
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _unreachable(message: str, hint: str) -> EsmsUnavailableError:
    error = EsmsUnavailableError(message)
    error.hint = hint
    return error


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
