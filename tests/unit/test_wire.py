"""eSMS on the wire: tolerant where its own pages contradict each other, strict wherever a guess
would be believed later."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from etl.errors import (
    EsmsUnavailableError,
    EtlError,
    FaultError,
    MalformedAnswerError,
    OffsetRefusedError,
    RefusedError,
    ThrottledError,
    UndocumentedCodeError,
    UnknownAccountError,
)
from etl.esms import wire
from etl.model import Account, Page

GOOD: dict[str, Any] = {
    "CodeResult": "100",
    "ErrorMessage": "success",
    "Followers": [{"User_Id": "7800378501923859642"}, {"User_Id": "4176617840488517388"}],
    "Total": 208,
}
USERS = ("7800378501923859642", "4176617840488517388")


def body(**members: Any) -> bytes:
    """The documented answer with some members replaced; `...` takes one away."""
    return json.dumps(
        {name: value for name, value in (GOOD | members).items() if value is not ...}
    ).encode()


def one_user(user: Any) -> bytes:
    return body(Followers=[{"User_Id": "1"}, {"User_Id": user}, {"User_Id": "3"}])


# -- what is sent ----------------------------------------------------------------------------------


def test_a_request_carries_count_and_limit_alike_and_numbers_as_in_the_sample() -> None:
    sent = wire.followers_request(
        wire.Keys(SecretStr("key"), SecretStr('se"cret')),
        oaid="42",
        offset=7,
        count=50,
        limit=50,
    )
    assert json.loads(sent) == {
        "ApiKey": "key",
        "SecretKey": 'se"cret',
        "OAID": "42",
        "Offset": 7,
        "Count": 50,
        "Limit": 50,
    }


@pytest.mark.parametrize(
    ("count", "limit", "there"), [(50, None, {"Count"}), (None, 50, {"Limit"}), (None, None, set())]
)
def test_either_name_of_the_page_size_can_be_left_out(
    count: int | None, limit: int | None, there: set[str]
) -> None:
    sent = wire.followers_request(
        wire.Keys(SecretStr("k"), SecretStr("s")),
        oaid="42",
        offset=0,
        count=count,
        limit=limit,
    )
    assert set(json.loads(sent)) == {"ApiKey", "SecretKey", "OAID", "Offset"} | there


# -- what is taken ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        body(),
        body(CodeResult=100),
        body(Total="208"),
        body(CodeResult=100, Total="208"),
        body(Followers=[{"User_Id": 7800378501923859642}, {"User_Id": "4176617840488517388"}]),
        body(Followers=[{"User_Id": user, "Name": ["x", None]} for user in USERS]),
        body(Extra={"nested": [1, 2, {"deep": None}]}),
        body(ErrorMessage=...),
        body(ErrorMessage=None),
        body(ErrorMessage=["odd"]),
        b"\xef\xbb\xbf" + body(),
        b" \r\n\t" + body() + b"\r\n",
    ],
    ids=[
        "as documented", "code as number", "Total as string", "both", "integer identifier", "unknown member of a follower",
        "unknown member", "no message", "null message", "message of an odd type", "byte order mark", "white space",
    ],
)  # fmt: skip
def test_every_documented_form_of_an_answer_is_the_same_page(answer: bytes) -> None:
    assert wire.page(answer, 100) == Page(100, USERS, 208)


def test_a_page_may_be_empty_and_total_zero() -> None:
    assert wire.page(body(Followers=[], Total=0), 0) == Page(0, (), 0)


def test_a_user_who_stands_twice_on_a_page_is_a_matter_for_the_sweep_not_for_the_wire() -> None:
    assert wire.page(body(Followers=[{"User_Id": "5"}, {"User_Id": "5"}]), 0).users == ("5", "5")


def test_identifiers_are_opaque() -> None:
    odd = ("007", "0x1F", "a b", "người", "𝟙", "-5", "1.5", "x" * 128)
    assert wire.page(body(Followers=[{"User_Id": user} for user in odd]), 0).users == odd


def test_an_integer_identifier_keeps_all_its_digits() -> None:
    largest = 9_999_999_999_999_999_999  # 19 digits: no JSON double holds it
    assert wire.page(one_user(largest), 0).users[1] == "9999999999999999999"


# -- what is not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"   ",
        b"null",
        b"[]",
        b'"100"',
        b"100",
        b"<html><body>maintenance</body></html>",
        body()[:-1],
        body() + b"}",
        body() + body(),
        body().replace(b'{"User_Id"', b'{a"User_Id"', 1),
        body().replace(b'"7800378501923859642"', b"7800378501923859642.", 1),
        body().replace(b"208", b"NaN"),
        body().replace(b"208", b"Infinity"),
        body().replace(b"208", b"-Infinity"),
        body(Extra=1).replace(b'"Extra": 1', b'"Extra": NaN'),
        body().replace(b"success", b"succ\xffess"),
        body().replace(b"success", b"succ\x00ess"),
        body().decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        body().replace(b"208", b"9" * 5_000),
    ],
    ids=[
        "empty", "blank", "null", "list", "string", "number", "HTML", "cut short", "one brace too many", "two answers",
        "a stray letter", "half a number", "NaN", "Infinity", "-Infinity", "NaN in a member nobody reads", "no UTF-8",
        "a raw control character", "UTF-16", "deep list", "deep object", "an endless number", "an endless Total",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_malformed(answer: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        wire.page(answer, 0)


@pytest.mark.parametrize(
    "total", [..., None, -1, "-1", 1.0, 1.5, 1e300, True, False, "", " ", " 208", "208 ", "2e2", "0x10", "+5", "٣", "²", "1_000",
              "1,000", [], [208], {}, 2**53 + 1, str(2**53 + 1), "9" * 400, 10**400]
)  # fmt: skip
def test_a_total_that_is_missing_negative_or_no_whole_number_makes_the_page_malformed(
    total: Any,
) -> None:
    with pytest.raises(MalformedAnswerError, match="Total"):
        wire.page(body(Total=total), 0)


@pytest.mark.parametrize("code", [..., None, True, 1.0, 100.0, [], ["100"], {}])
def test_a_code_of_the_wrong_type_makes_the_page_malformed(code: Any) -> None:
    with pytest.raises(MalformedAnswerError, match="CodeResult"):
        wire.page(body(CodeResult=code), 0)


@pytest.mark.parametrize(
    ("once", "twice"),
    [
        (b'"Total": 208', b'"Total": 208, "Total": 1'),
        (b'"CodeResult": "100"', b'"CodeResult": "100", "CodeResult": "100"'),
        (b'"CodeResult": "100"', b'"CodeResult": "101", "CodeResult": "100"'),
        (b'"CodeResult": "100"', b'"CodeResult": "100", "CodeResult": "101"'),
        (b'"Followers"', b'"Followers": [], "Followers"'),
        (b'"User_Id": "', b'"User_Id": "1", "User_Id": "'),
        (b'"Total": 208', b'"Total": 208, "Data": {"x": 1, "x": 1}'),
    ],
)
def test_a_member_that_stands_twice_makes_the_page_malformed(once: bytes, twice: bytes) -> None:
    answer = body().replace(once, twice, 1)
    assert answer != body()
    with pytest.raises(MalformedAnswerError, match="twice"):
        wire.page(answer, 0)


@pytest.mark.parametrize("total", [0, "0"])
def test_null_in_the_place_of_an_empty_list_is_nobody(total: Any) -> None:
    assert wire.page(body(Followers=None, Total=total), 7) == Page(7, (), 0)


@pytest.mark.parametrize("total", [1, "208", None, -1])
def test_null_where_somebody_should_be_guesses_nothing(total: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        wire.page(body(Followers=None, Total=total), 0)


@pytest.mark.parametrize("followers", [..., None, {}, {"User_Id": "1"}, "", "1", 1, True])
def test_followers_that_are_no_list_make_the_page_malformed(followers: Any) -> None:
    with pytest.raises(MalformedAnswerError, match="Followers"):
        wire.page(body(Followers=followers), 0)


@pytest.mark.parametrize(
    "follower", [None, "1", 1, [], ["User_Id"], {}, {"user_id": "1"}, {"UserId": "1"}, True]
)
def test_one_follower_without_a_user_id_makes_the_whole_page_malformed(follower: Any) -> None:
    with pytest.raises(MalformedAnswerError, match="User_Id"):
        wire.page(body(Followers=[{"User_Id": "1"}, follower]), 0)


@pytest.mark.parametrize(
    "user", [None, True, False, 1.0, 1.5, 1e30, [], ["1"], {}, {"id": "1"}, "", -1, "\0", "12\n34", "12\r", "\t1", "\x1b[31m",
             "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "1\udfff", "1\u200b", "\ufeff1", "\u202e1", "1\u00ad", "x" * 129, 10**128]
)  # fmt: skip
def test_one_identifier_that_is_empty_no_text_or_holds_a_control_character_makes_the_whole_page_malformed(
    user: Any,
) -> None:
    with pytest.raises(MalformedAnswerError, match="User_Id"):
        wire.page(one_user(user), 0)


def test_a_message_about_a_malformed_page_quotes_nothing_of_it() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        wire.page(one_user("7800378501923859642\n"), 0)
    assert "7800378501923859642" not in str(caught.value)
    assert caught.value.__cause__ is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6)
    | st.sampled_from(["100", "160", 100, "208", "\ud800", "", 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["User_Id", "OAID", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def _is_clean(users: tuple[str, ...]) -> bool:
    joined = "".join(users)
    return (
        all(type(user) is str and user for user in users)
        and joined.encode().decode() == joined
        and len(joined.split()) < 2
    )


@given(member=st.sampled_from(sorted(GOOD)), value=ANYTHING)
def test_any_value_in_any_members_place_gives_a_page_of_strings_or_an_error_of_ours(
    member: str, value: Any
) -> None:
    try:
        page = wire.page(body(**{member: value}), 0, secrets=[SecretStr("key")])
    except EtlError:
        return
    assert _is_clean(page.users)
    assert type(page.total) is int
    assert 0 <= page.total <= 2**53


@given(users=st.lists(ANYTHING | st.text(st.characters(codec="utf-8"), min_size=1), max_size=4))
def test_any_values_in_the_place_of_identifiers_give_a_page_of_all_of_them_or_an_error_of_ours(
    users: list[Any],
) -> None:
    try:
        page = wire.page(body(Followers=[{"User_Id": user} for user in users]), 0)
    except EtlError:
        return
    assert page.users == tuple(str(user) for user in users)
    assert "\n" not in "".join(page.users)
    assert "\0" not in "".join(page.users)
    "".join(page.users).encode()


@given(value=ANYTHING)
def test_any_json_at_all_gives_a_page_or_accounts_or_an_error_of_ours(value: Any) -> None:
    for read in (lambda told: wire.page(told, 0), wire.accounts):
        try:
            read(json.dumps(value).encode())
        except EtlError:
            continue
        raise AssertionError("no member, and yet it was taken for an answer")


@given(noise=st.binary(max_size=40))
def test_any_bytes_at_all_raise_nothing_but_an_error_of_ours(noise: bytes) -> None:
    for answer in (noise, body()[:60] + noise, noise + body()):
        try:
            wire.page(answer, 0)
        except EtlError:
            continue


# -- codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_number", [False, True], ids=["as text", "as number"])
@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        ("101", RefusedError, "ESMS_API_KEY and ESMS_SECRET_KEY"),
        ("110", FaultError, "report it"),
        ("140", RefusedError, "allow-list"),
        ("143", RefusedError, "locked"),
        ("160", ThrottledError, "ESMS_RATE"),
        ("161", FaultError, "report it"),
        ("162", OffsetRefusedError, "ESMS_PAGE_SIZE"),
        ("204", UnknownAccountError, "ESMS_OAIDS"),
        ("799", UnknownAccountError, "ESMS_OAIDS"),
        ("99", UndocumentedCodeError, "Run again later"),
        ("0", UndocumentedCodeError, "Run again later"),
        ("1000", UndocumentedCodeError, "Run again later"),
    ],
)
def test_each_code_is_the_error_that_says_what_to_do_next(
    code: str, kind: type[EtlError], advice: str, *, as_number: bool
) -> None:
    answer = json.dumps(
        {"CodeResult": int(code) if as_number else code, "ErrorMessage": "told"}
    ).encode()
    with pytest.raises(EtlError) as caught:
        wire.page(answer, 9_999)
    error = caught.value
    assert type(error) is kind
    assert code in str(error)
    assert advice in error.hint
    if isinstance(error, RefusedError):
        assert error.code == code
    if isinstance(error, OffsetRefusedError):
        assert error.offset == 9_999
    else:
        assert "told" in str(error)


@pytest.mark.parametrize(
    "message",
    [
        b'"wrong\tkey"', b'"wrong\nkey"', b'"\x00"', b'"sai kho\xe1"', b'"the key "x" is wrong"', b'"cut off', b"oops",
        b'"\\u12"', b'"\\x"',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("code", "kind"),
    [("101", RefusedError), ("140", RefusedError), ("204", UnknownAccountError), ("160", ThrottledError), ("161", FaultError)],
)  # fmt: skip
def test_a_refusal_is_read_however_broken_its_message_is(
    code: str, kind: type[EtlError], message: bytes
) -> None:
    answer = b'{"CodeResult": "%s", "ErrorMessage": %s}' % (code.encode(), message)
    with pytest.raises(kind) as caught:
        wire.page(answer, 0)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("message", [b'"fine\tindeed"', b'"\xe1"', b'"the "list""'])
def test_a_success_whose_message_is_broken_is_malformed(message: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        wire.page(
            body().replace(
                b'{"CodeResult": "100"', b'{"CodeResult": "100", "ErrorMessage": ' + message
            ),
            0,
        )
    with pytest.raises(MalformedAnswerError):
        wire.page(
            b'{"CodeResult": "100", "ErrorMessage": ' + message + b', "Followers": [], "Total": 0}',
            0,
        )


def test_a_code_that_only_looks_like_success_is_none() -> None:
    for code in (" 100", "100 ", "0100", "१००", "100\n"):
        with pytest.raises(EsmsUnavailableError):
            wire.page(body(CodeResult=code), 0)


# -- secrets ---------------------------------------------------------------------------------------

KEY = SecretStr("A1B2/C3D4+key==")
SECRET = SecretStr('pass"word\\ä')


@pytest.mark.parametrize(
    "echo",
    [
        "wrong key A1B2/C3D4+key==",
        "A1B2/C3D4+key==A1B2/C3D4+key==",
        'wrong secret pass"word\\ä',
        "a1b2/c3d4+KEY==",
        json.dumps({"ApiKey": KEY.get_secret_value(), "SecretKey": SECRET.get_secret_value()}),
        json.dumps(
            {"ApiKey": KEY.get_secret_value(), "SecretKey": SECRET.get_secret_value()},
            ensure_ascii=False,
        ),
        # As .NET writes it: every slash escaped.
        json.dumps({"ApiKey": KEY.get_secret_value()}).replace("/", "\\/"),
        {"ApiKey": KEY.get_secret_value(), "SecretKey": SECRET.get_secret_value()},
        [KEY.get_secret_value()],
    ],
)
@pytest.mark.parametrize("code", ["101", "110", "160", "999", KEY.get_secret_value()])
def test_a_server_that_echoes_our_keys_does_not_get_them_into_a_message(
    code: str, echo: Any
) -> None:
    with pytest.raises(EtlError) as caught:
        wire.page(body(CodeResult=code, ErrorMessage=echo), 0, secrets=[KEY, SECRET])
    for part in ("A1B2", "C3D4", "+key", "a1b2", "c3d4", "+KEY", "pass", "word"):
        assert part not in str(caught.value)


@pytest.mark.parametrize("secrets", [("abc", "abcdef"), ("abcdef", "abc"), ("def", "abcdef")])
def test_a_key_that_is_part_of_the_other_uncovers_nothing_of_it(secrets: tuple[str, str]) -> None:
    with pytest.raises(RefusedError) as caught:
        wire.page(
            body(CodeResult="101", ErrorMessage="got <abcdef>"),
            0,
            secrets=[SecretStr(each) for each in secrets],
        )
    assert str(caught.value) == "eSMS answered code 101: got <…>"


@pytest.mark.parametrize("key", ["1", "0", "10", "100", "01"])
def test_a_key_that_looks_like_a_code_hides_no_code(key: str) -> None:
    assert wire.page(body(), 0, secrets=[SecretStr(key)]).total == 208
    with pytest.raises(RefusedError) as caught:
        wire.page(body(CodeResult="101"), 0, secrets=[SecretStr(key)])
    assert caught.value.code == "101"


def test_a_long_message_of_many_lines_becomes_a_short_one_of_one() -> None:
    with pytest.raises(EsmsUnavailableError) as caught:
        wire.page(body(CodeResult="999", ErrorMessage="one\ntwo\r\x1b[31m\u2028" + "x" * 10_000), 0)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


# -- the OAs of the account ------------------------------------------------------------------------


def listed(*accounts: Any) -> bytes:
    return json.dumps(
        {"CodeResult": "100", "ErrorMessage": "success", "ZOAList": list(accounts)}
    ).encode()


def test_the_accounts_come_with_their_names_on_one_line() -> None:
    answer = listed(
        {"OAID": "745830328927467685", "OAName": "Hệ thống ESMS Marketing"},
        {"OAID": 4097311281936189049, "OAName": " SV\nVoucher\x1b "},
        {"OAID": "3"},
        {"OAID": "4", "OAName": None, "More": 1},
    )
    assert wire.accounts(answer) == [
        Account("745830328927467685", "Hệ thống ESMS Marketing"),
        Account("4097311281936189049", "SV Voucher"),
        Account("3", ""),
        Account("4", ""),
    ]


@pytest.mark.parametrize(
    "account", [None, "1", [], {}, {"OAName": "x"}, {"OAID": ""}, {"OAID": 1.5}, {"OAID": "1\n"}, {"OAID": "1", "OAName": 5},
                {"OAID": "1", "OAName": 0}, {"OAID": "1", "OAName": False}, {"OAID": "1", "OAName": []}]
)  # fmt: skip
def test_one_account_of_the_wrong_form_makes_the_whole_listing_malformed(account: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        wire.accounts(listed({"OAID": "1", "OAName": "good"}, account))


@pytest.mark.parametrize("value", [None, {}, "x", 1])
def test_a_listing_that_is_no_list_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedAnswerError, match="ZOAList"):
        wire.accounts(json.dumps({"CodeResult": "100", "ZOAList": value}).encode())


def test_a_refusal_of_the_listing_is_told_as_one_of_a_page() -> None:
    with pytest.raises(RefusedError, match="101"):
        wire.accounts(b'{"CodeResult": "101", "ErrorMessage": "Authorize Failed"}')
    with pytest.raises(EsmsUnavailableError, match="162"):
        wire.accounts(b'{"CodeResult": "162", "ErrorMessage": "no Offset was sent"}')
