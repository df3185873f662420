"""Why a run could not be believed or did not end, in a sentence.

By the word that `snapshots.reason` begins with.
"""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    # Of a list that was read in part.
    "torn": (
        "the list changed faster than it could be read",
        "danh sách thay đổi nhanh hơn tốc độ đọc",
    ),
    "ceiling": (
        "eSMS does not show more of this list",
        "eSMS không cho xem thêm danh sách này",
    ),
    "total_gap": (
        "eSMS counts more followers than its list shows",
        "số người quan tâm mà eSMS đếm nhiều hơn số người trong danh sách",
    ),
    "offset_ignored": (
        "eSMS gave the same page again and again",
        "eSMS trả về cùng một trang nhiều lần",
    ),
    "crowded_day": (
        "more followers have the same day than one list can show",
        "số người quan tâm có cùng một ngày nhiều hơn một danh sách có thể cho xem",
    ),
    "window_gap": (
        "the lists of the single days do not add up to the count of all",
        "tổng danh sách của từng ngày không khớp với số đếm chung",
    ),
    "undated": (
        "some followers are in no list of days",
        "một số người quan tâm không có trong danh sách theo ngày nào",
    ),
    # Of a run that was held.
    "mass_unfollow": (
        "far more followers than usual were missing from the list",
        "số người vắng mặt trong danh sách nhiều hơn hẳn bình thường",
    ),
    "nobody_seen": ("eSMS listed nobody at all", "danh sách của eSMS không có ai"),
    # Of a run that failed.
    "unreachable": ("eSMS did not answer", "eSMS không trả lời"),
    "throttled": ("eSMS asked us to slow down", "eSMS yêu cầu gọi chậm lại"),
    "refused": (
        "eSMS refused the keys, the address or the OA",
        "eSMS từ chối khóa API, địa chỉ IP hoặc OA",
    ),
    "impossible_answer": (
        "eSMS answered something impossible",
        "câu trả lời của eSMS không hợp lý",
    ),
    "malformed": (
        "the answer of eSMS could not be read",
        "không đọc được câu trả lời của eSMS",
    ),
    "offset_refused": (
        "eSMS refused to show that part of the list",
        "eSMS từ chối cho xem phần đó của danh sách",
    ),
    "out_of_time": ("the time for one run was over", "hết thời gian cho một lần chạy"),
    "interrupted": ("the run was stopped by hand", "lần chạy bị dừng bằng tay"),
    "abandoned": (
        "the run was killed or the machine stopped",
        "lần chạy bị dừng giữa chừng hoặc máy bị tắt",
    ),
    "lease_lost": (
        "another run took over",
        "một lần chạy khác đã tiếp quản",
    ),
    "database": ("the database did not answer", "cơ sở dữ liệu không trả lời"),
    "temporary_disk": (
        "the disk for temporary files was full or failed",
        "ổ đĩa chứa tệp tạm bị đầy hoặc lỗi",
    ),
    "system": ("the machine was short of something", "máy chạy thiếu tài nguyên"),
    "fault": ("a fault of this program", "lỗi của chương trình này"),
    "error": ("a fault of this program", "lỗi của chương trình này"),
}
"""By that word: in English and in Vietnamese, without a capital and without a full stop."""


def in_words(reason: str | None, *, vietnamese: bool) -> str | None:
    """The sentence for a reason such as `unreachable: no answer from …`.

    Its word where none is known.
    """
    if not reason:
        return None
    word = reason.partition(":")[0]
    return REASONS[word][vietnamese] if word in REASONS else word
