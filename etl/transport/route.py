"""What stands between us and a server by the environment's will: a proxy, other certificates.

Whatever is wrong with them is named: the variable, the file, what the proxy answered. A proxy's
password is never shown.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests.utils
import urllib3.exceptions

from etl.errors import SettingsError

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first that is set names the certificates that are trusted, instead of those of certifi."""

PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Of HTTP 4xx, those that say nothing against the request (RFC 9110)."""

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, the variable that names it, and where it is, without a password."""

    variable: str
    place: str
    url: str = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        parts = urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        usual = {"https": 443, "http": 80}.get(parts.scheme, 1080)
        return parts.hostname or "", parts.port or usual

    def __str__(self) -> str:
        return f"the proxy {self.place} that {self.variable} names"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The certificates that are trusted, and the variable that names them."""

    variable: str
    path: Path

    def __str__(self) -> str:
        return f"the certificates of {self.variable} ({self.path})"


@dataclass(frozen=True, slots=True)
class Route:
    """How to get to a server. None: no proxy, the usual certificates."""

    proxy: Proxy | None = None
    bundle: Bundle | None = None

    @property
    def proxies(self) -> dict[str, str]:
        """As requests takes it."""
        return {"https": self.proxy.url, "http": self.proxy.url} if self.proxy else {}

    @property
    def verify(self) -> bool | str:
        """As requests takes it."""
        return str(self.bundle.path) if self.bundle else True


def route_to(url: str) -> Route:
    """The way to a server, by the environment.

    Raises:
        SettingsError: with every variable that leads nowhere.
    """
    problems: list[str] = []
    secure = urlsplit(url).scheme == "https"
    route = Route(_proxy(url, problems), _bundle(problems) if secure else None)
    if secure:
        _require_key_log(problems)
    if problems:
        raise SettingsError(problems)
    return route


def refusal(error: BaseException, proxy: Proxy) -> SettingsError | None:
    """What a proxy refused that only a person can cure; None where it may pass."""
    found = _TUNNEL.search(str(error))
    if found is None:
        return None
    status = int(found[1])
    if status in PASSING or not 400 <= status < 500:  # noqa: PLR2004 - HTTP's class of refusals
        return None
    advice = (
        "it asks for a user and a password, or refuses those that are given"
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        else "ask whoever runs it to let this machine through"
    )
    return SettingsError(
        [f"{proxy.variable}: the proxy {proxy.place} {_answered(status)}; {advice}"]
    )


def trouble(error: BaseException, route: Route) -> str:
    """What went wrong on the way, without a URL, a body or an object's address."""
    cause = _cause(error)
    if route.proxy is None:
        return system_words(cause)
    if not isinstance(_reason(error), urllib3.exceptions.ProxyError):
        return f"through {route.proxy}: {system_words(cause)}"
    found = _TUNNEL.search(str(cause))
    said = _answered(int(found[1])) if found else f"failed: {system_words(cause)}"
    return f"{route.proxy} {said}"


def _answered(status: int) -> str:
    known = status in {each.value for each in HTTPStatus}
    return f"answered HTTP {status}" + (f" ({HTTPStatus(status).phrase})" if known else "")


def _reason(error: BaseException) -> BaseException:
    """The error inside those that requests and urllib3 put around it."""
    inner: Any = error.args[0] if error.args else None
    if isinstance(inner, urllib3.exceptions.ProtocolError):
        inner = inner.args[-1]
    reason = getattr(inner, "reason", inner)
    return reason if isinstance(reason, BaseException) else error


def _cause(error: BaseException) -> BaseException:
    reason = _reason(error)
    original = getattr(reason, "original_error", None)
    cause = original if isinstance(original, BaseException) else reason
    return cause.__cause__ if isinstance(cause.__cause__, OSError) else cause


def system_words(error: BaseException) -> str:
    """The system's own words; only the kind of an error in which a library may quote something."""
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__


def _proxy(url: str, problems: list[str]) -> Proxy | None:
    proxies = requests.utils.get_environ_proxies(url)
    chosen = requests.utils.select_proxy(url, proxies)
    if not chosen:
        return None
    variable = _variable(chosen)
    try:
        parts = urlsplit(chosen if "://" in chosen else f"http://{chosen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not chosen.isprintable():
        problems.append(f"{variable} names no proxy, such as http://proxy.example:3128")
        return None
    place = f"{host}:{port}" if port else host
    if parts.scheme.startswith("socks"):
        if find_spec("socks") is None:
            problems.append(
                f"{variable} names the SOCKS proxy {place}, for which the Python package PySocks "
                "is missing: install it beside etl, or name an http proxy"
            )
    elif parts.scheme not in {"http", "https"}:
        problems.append(f"{variable} must begin with http://, https:// or socks5h://")
    return Proxy(variable, place, chosen)


def _variable(chosen: str) -> str:
    """Which variable it was: requests gives values only."""
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        for spelt in (name, name.upper()):
            if os.environ.get(spelt, "").strip() == chosen.strip():
                return spelt
    return "the system's proxy setting"


def _bundle(problems: list[str]) -> Bundle | None:
    for variable in CA_VARIABLES:
        if value := os.environ.get(variable):
            bundle = Bundle(variable, Path(value))
            if wrong := _unusable(bundle.path):
                problems.append(
                    f"{variable} names {bundle.path}, {wrong}: name a file of certificates (PEM), "
                    "or unset it"
                )
            return bundle
    return None


def _require_key_log(problems: list[str]) -> None:
    """Every TLS connection of Python opens the file of SSLKEYLOGFILE (who debugs sets it)."""
    if name := os.environ.get("SSLKEYLOGFILE"):
        try:
            Path(name).open("ab").close()
        except OSError as error:
            problems.append(
                f"SSLKEYLOGFILE names {name}, which cannot be written ({system_words(error)}): "
                "unset it"
            )


def _unusable(path: Path) -> str | None:
    try:
        if path.is_dir():
            return None
        path.open("rb").close()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except FileNotFoundError:
        return "which is not there"
    except ssl.SSLError:
        return "which holds no certificate"
    except (OSError, ValueError) as error:
        return f"which cannot be read ({system_words(error)})"
    return None
