"""An answer of HTTP: its verdict before any body is read, and the body, which is bounded."""

from __future__ import annotations

import time
import zlib
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from etl.errors import (
    BadRequestError,
    EsmsUnavailableError,
    ImpossibleAnswerError,
    MalformedAnswerError,
    RefusedError,
    ThrottledError,
)
from etl.transport.route import PASSING

if TYPE_CHECKING:
    import requests

LARGEST_HEAD = 2**20
"""Bytes of an answer beside the users that were asked for. Generous: a server may send more of
them."""

LARGEST_USER = 512
"""Bytes of one user in a page; the longest that was ever seen takes 35."""

CHUNK = 2**16
"""Bytes read at once."""

COMPRESSIONS = {"gzip", "x-gzip", "deflate"}
"""Nobody asks for them; some middlebox may think that it knows better."""


def largest_page(page_size: int) -> int:
    """Bytes (decompressed) that an answer with so many users may have: it bounds the memory."""
    return LARGEST_HEAD + LARGEST_USER * page_size


def body_of(response: requests.Response, largest: int) -> bytes:
    """The body, whole; one that is too large is not read or unpacked to its end.

    Raises:
        MalformedAnswerError: it is too large, or compressed in a way that is not known.
        zlib.error: it is compressed, and broken.
    """
    body = bytearray()
    too_large = MalformedAnswerError(f"the body is larger than {largest:,} bytes")
    if (response.raw.length_remaining or 0) > largest:
        raise too_large
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    if packed not in {"", "identity", *COMPRESSIONS}:
        raise MalformedAnswerError("the body is compressed, in a way that is not known")
    # 32: with the header of gzip or of zlib.
    unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS) if packed in COMPRESSIONS else None
    while chunk := response.raw.read1(CHUNK, decode_content=False):
        body += unpacker.decompress(chunk, largest + 1 - len(body)) if unpacker else chunk
        if len(body) > largest:
            raise too_large
    if unpacker and not unpacker.eof:
        raise zlib.error("it ends in the middle")
    return bytes(body)


def check_http(response: requests.Response) -> None:
    """HTTP's own verdict, before any body is read."""
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    told = f"eSMS answered HTTP {status}"
    wait = _retry_after(response.headers.get("Retry-After"))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise ThrottledError(told, retry_after=wait)
    if status < HTTPStatus.OK or status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise EsmsUnavailableError(told, retry_after=wait)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        raise MalformedAnswerError(f"{told}, which brings no page")
    if status < HTTPStatus.BAD_REQUEST:
        raise ImpossibleAnswerError(
            f"{told}, a redirect; it is not followed, because the body carries the keys"
        )
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise RefusedError(
            told,
            code=str(status),
            hint="A firewall refuses us: check the allow-list at eSMS and ESMS_BASE_URL.",
        )
    if status == HTTPStatus.BAD_REQUEST:
        raise BadRequestError(told)
    raise ImpossibleAnswerError(told)


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, a number or a date (RFC 9110, 10.2.3); None if neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
