"""What reports say, in English and in Vietnamese, and how each language writes numbers and dates.

The Vietnamese words are Zalo's own: a follower of an OA is `người quan tâm`, to unfollow is `bỏ
quan tâm`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from etl.reports.periods import By, Span, whole

if TYPE_CHECKING:
    from datetime import date, datetime
    from zoneinfo import ZoneInfo


class Lang(StrEnum):
    """The languages of reports."""

    EN = "en"
    VI = "vi"


NOTHING = "–"
"""Stands for what could not be seen. Never 0."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Follower report", "Báo cáo người quan tâm"),
    "made": (
        "Made on {when} ({zone}) by follower-etl.",
        "Lập lúc {when} ({zone}) bởi follower-etl.",
    ),
    "days_in": ("Days are dates in {zone}.", "Ngày được tính theo múi giờ {zone}."),
    "compared": ("All accounts compared", "So sánh các tài khoản"),
    "account": ("Account", "Tài khoản"),
    "left_out": ("Left out", "Không có trong báo cáo"),
    "from_to": ("{first} to {last}", "Từ {first} đến {last}"),
    "headline": (
        "On {day}, {following} followed: {net} in this time (+{won}, −{lost}).",
        "Ngày {day} có {following} người quan tâm: {net} trong thời gian này (+{won}, −{lost}).",
    ),
    "headline_unseen": (
        "On {day}, {following} were known to follow. Who left in this time could not be seen.",
        "Ngày {day} có {following} người được biết là đang quan tâm. Không thấy được ai đã bỏ quan tâm trong thời gian này.",
    ),
    "read_whole": (
        "The whole list was read on {seen} of {days} days, last on {last}.",
        "Danh sách được đọc trọn vẹn trong {seen} trên {days} ngày, lần cuối lúc {last}.",
    ),
    "never_whole": ("The list was never read whole.", "Danh sách chưa lần nào được đọc trọn vẹn."),
    # The table of periods.
    "periods": ("Periods", "Theo kỳ"),
    "by_day": ("by day", "theo ngày"),
    "by_week": ("by week", "theo tuần"),
    "by_month": ("by month", "theo tháng"),
    "period": ("Period", "Kỳ"),
    "total": ("Total", "Tổng cộng"),
    "following": ("Following", "Đang quan tâm"),
    "following_start": ("At start", "Đầu kỳ"),
    "baseline": ("Baseline", "Có sẵn"),
    "followed": ("Followed", "Quan tâm mới"),
    "refollowed": ("Refollowed", "Quan tâm lại"),
    "unfollowed": ("Unfollowed", "Bỏ quan tâm"),
    "net": ("Net", "Tăng ròng"),
    "following_end": ("At end", "Cuối kỳ"),
    "churn_rate": ("Churn rate", "Tỷ lệ rời bỏ"),
    "growth_rate": ("Growth rate", "Tỷ lệ tăng trưởng"),
    "not_seen": ("not seen", "không thấy được"),
    # Charts.
    "curve": ("Following, day by day", "Số người quan tâm theo ngày"),
    "curve_desc": (
        "A line from {first} on {first_day} to {last} on {last_day}; lowest {low}, highest {high}; stretches not seen: {gaps}.",
        (
            "Đường biểu diễn từ {first} ngày {first_day} đến {last} ngày {last_day}; thấp nhất {low}, cao nhất {high}; "
            "số đoạn không thấy được: {gaps}."
        ),
    ),
    "curve_note": (
        (
            "Each point is a day on which the whole list was read. Shaded: days on which it was not. "
            "Hollow: read in part, so that nobody was marked as unfollowed."
        ),
        (
            "Mỗi điểm là một ngày danh sách được đọc trọn vẹn. Vùng tô: những ngày không đọc được trọn vẹn. "
            "Điểm rỗng: chỉ đọc được một phần, nên không ai bị đánh dấu là bỏ quan tâm."
        ),
    ),
    "wins": ("Won and lost", "Người được thêm và mất đi"),
    "wins_desc": (
        (
            "Bars {by}: upwards {followed} followed and {refollowed} refollowed, downwards {unfollowed} unfollowed in all. "
            "The table of periods has the numbers."
        ),
        (
            "Biểu đồ cột {by}: phía trên tổng cộng {followed} quan tâm mới và {refollowed} quan tâm lại, phía dưới {unfollowed} "
            "bỏ quan tâm. Bảng theo kỳ có đủ các số."
        ),
    ),
    "wins_note": (
        "Bars are drawn {by}. Shaded: nobody could see who left.",
        "Cột được vẽ {by}. Vùng tô: không thấy được ai đã bỏ quan tâm.",
    ),
    # Cohorts.
    "cohorts": ("Do the ones we win stay?", "Người mới có ở lại không?"),
    "cohort": ("First followed in", "Quan tâm lần đầu vào"),
    "users": ("Users", "Số người"),
    "months_since": ("Months since the first follow", "Số tháng kể từ lần quan tâm đầu tiên"),
    "cohort_desc": (
        (
            "A heat map of {cohorts} months of first follows: the share who followed at the end of each month since. "
            "The table below has the numbers."
        ),
        (
            "Bản đồ nhiệt của {cohorts} tháng quan tâm lần đầu: tỷ lệ còn quan tâm vào cuối mỗi tháng sau đó. "
            "Bảng bên dưới có đủ các số."
        ),
    ),
    "cohort_tip": (
        "First followed in {month}: {count} of {users} ({share}) followed at the end of {then}",
        "Quan tâm lần đầu vào {month}: {count} trên {users} người ({share}) còn quan tâm vào cuối {then}",
    ),
    "cohort_newest": (
        "The chart shows the newest {shown} of {all} months.",
        "Biểu đồ chỉ vẽ {shown} tháng mới nhất trong {all} tháng.",
    ),
    "so_far": ("The last month of each row is not over.", "Tháng cuối của mỗi dòng chưa kết thúc."),
    "cohort_table": ("Retention as a table", "Bảng tỷ lệ ở lại"),
    "no_cohorts": (
        "Nobody new was found in this time.",
        "Không có người quan tâm mới trong thời gian này.",
    ),
    # Survival.
    "survival": ("How long new followers stay", "Người mới ở lại bao lâu"),
    "survival_axis": ("Days since the first follow", "Số ngày kể từ lần quan tâm đầu tiên"),
    "still": ("Still follow", "Còn quan tâm"),
    "day": ("Day", "Ngày thứ"),
    "band": ("95% band", "Khoảng tin cậy 95%"),
    "at_risk": ("Seen that long", "Số người theo dõi được đến lúc đó"),
    "median": (
        "Half of them have left after {days}.",
        "Một nửa trong số họ đã bỏ quan tâm sau {days}.",
    ),
    "no_median": (
        "More than half of them stay longer than could be seen so far ({days}).",
        "Hơn một nửa ở lại lâu hơn thời gian đã quan sát được ({days}).",
    ),
    "survival_desc": (
        "A falling step line of {users} new followers, of whom {left} left, with a shaded 95% band. {median}",
        "Đường bậc thang giảm dần của {users} người quan tâm mới, {left} người đã rời đi, kèm vùng tin cậy 95%. {median}",
    ),
    "survival_tip": (
        "Day {day}: {share} still follow ({low} to {high})",
        "Ngày thứ {day}: {share} còn quan tâm ({low} đến {high})",
    ),
    # Time as a follower.
    "stays": ("Time as a follower", "Thời gian quan tâm"),
    "stay_days": ("{first} to {last} days", "{first} đến {last} ngày"),
    "stay_more": ("{first} days and more", "Từ {first} ngày trở lên"),
    "left": ("Left in this time", "Đã rời đi trong thời gian này"),
    "follow": ("Follow at its end", "Còn quan tâm lúc cuối"),
    "stay_median": ("Median", "Trung vị"),
    "stay_unknown": ("Not known (baseline)", "Không rõ (có sẵn từ trước)"),
    "days": ("{days} days", "{days} ngày"),
    "one_day": ("1 day", "1 ngày"),
    # The most recent unfollows.
    "recent": ("The most recent unfollows", "Những lượt bỏ quan tâm gần nhất"),
    "user": ("User_Id", "User_Id"),
    "unfollowed_at": ("Found on", "Phát hiện lúc"),
    "followed_at": ("Followed since", "Quan tâm từ"),
    "length": ("Stayed", "Ở lại"),
    "before_us": ("before we looked", "trước lần đọc đầu tiên"),
    "no_recent": ("Nobody was seen to leave.", "Không thấy ai rời đi."),
    # What we could not see.
    "unseen": ("What we could not see", "Những gì không thấy được"),
    "all_seen": (
        "Nothing: every run read the whole list.",
        "Không có: lần chạy nào cũng đọc được trọn danh sách.",
    ),
    "kind": ("What", "Loại"),
    "since": ("From", "Từ"),
    "until": ("To", "Đến"),
    "runs": ("Runs", "Số lần chạy"),
    "reason": ("Reason", "Lý do"),
    "gap": ("no run", "không chạy"),
    "partial": ("read in part", "đọc được một phần"),
    "held": ("held back", "bị giữ lại"),
    "failed": ("failed", "thất bại"),
    "undone": ("taken back", "đã hoàn tác"),
    "lasting": ("lasts", "vẫn còn"),
    "held_back": (
        "would have marked {count} as unfollowed",
        "lẽ ra đánh dấu {count} người bỏ quan tâm",
    ),
    # Definitions.
    "definitions": ("What the numbers mean", "Ý nghĩa các con số"),
    "def_identity": (
        "At end - at start = baseline + followed + refollowed - unfollowed. Net = followed + refollowed - unfollowed.",
        (
            "Cuối kỳ - đầu kỳ = có sẵn + quan tâm mới + quan tâm lại - bỏ quan tâm. "
            "Tăng ròng = quan tâm mới + quan tâm lại - bỏ quan tâm."
        ),
    ),
    "def_baseline": (
        "Baseline: who followed already when the list was first read. They are no win of that period.",
        "Có sẵn: những người đã quan tâm từ trước khi danh sách được đọc lần đầu. Họ không được tính là người mới của kỳ đó.",
    ),
    "def_both": (
        "Followed: for the first time. Refollowed: after an unfollow. Who comes and goes within one period counts in both.",
        "Quan tâm mới: lần đầu tiên. Quan tâm lại: sau khi đã bỏ quan tâm. Ai đến rồi đi trong cùng một kỳ được tính ở cả hai.",
    ),
    "def_churn": (
        (
            "Churn rate = unfollowed in the period ÷ following at its start, the baseline among them (1 - the retention rate of "
            "Farris, Bendle, Pfeifer & Reibstein, Marketing Metrics). Growth rate = net ÷ the same. The longer the period, the "
            "larger the rates."
        ),
        (
            "Tỷ lệ rời bỏ = số bỏ quan tâm trong kỳ ÷ số đang quan tâm đầu kỳ, kể cả số có sẵn (1 - tỷ lệ duy trì theo "
            "Farris, Bendle, Pfeifer & Reibstein, Marketing Metrics). Tỷ lệ tăng trưởng = tăng ròng ÷ cùng số đó. "
            "Kỳ càng dài thì các tỷ lệ càng lớn."
        ),
    ),
    "def_unseen": (
        (
            "– means that it could not be seen: without a reading of the whole list nobody knows who left. It is not 0. "
            "What happened unseen is counted on the day that found it."
        ),
        (
            "– nghĩa là không thấy được: nếu không đọc trọn danh sách thì không ai biết ai đã rời đi. Đó không phải là 0. "
            "Những gì xảy ra lúc không thấy được sẽ được tính vào ngày phát hiện."
        ),
    ),
    "def_cohort": (
        (
            "Of the users who first followed in a month: the share who followed at the end of that month (0) and of each month "
            "after it, whether or not they were away in between. The baseline is left out."
        ),
        (
            "Trong số người quan tâm lần đầu vào một tháng: tỷ lệ còn quan tâm vào cuối tháng đó (0) và cuối mỗi tháng sau, "
            "dù ở giữa có lúc bỏ quan tâm hay không. Không tính số có sẵn từ trước."
        ),
    ),
    "def_survival": (
        (
            "Kaplan-Meier estimate (1958) of the first stay of who first followed in this time; 95% band by Greenwood's variance "
            "on the log(-log) scale. Who still follows counts as long as seen (right-censored); the baseline is left out, "
            "because nobody knows since when they follow (left-truncated)."
        ),
        (
            "Ước lượng Kaplan-Meier (1958) cho lần quan tâm đầu tiên của những người mới trong thời gian này; khoảng tin cậy 95% "
            "theo phương sai Greenwood trên thang log(-log). Ai còn quan tâm thì được tính đến lúc còn quan sát được (kiểm duyệt "
            "phải); không tính số có sẵn, vì không ai biết họ quan tâm từ khi nào (cắt cụt trái)."
        ),
    ),
    "def_interval": (
        (
            "An arrival or a leave is known only to lie between two readings, and is dated by the one that found it. So a length "
            "is off by less than the time between two readings; who came and went between them was never seen, and the "
            "losses of the first days are, if anything, larger than drawn."
        ),
        (
            "Chỉ biết một lượt đến hay rời đi nằm giữa hai lần đọc, và được ghi theo lần đọc phát hiện ra nó. Vì vậy độ dài "
            "sai lệch ít hơn khoảng cách giữa hai lần đọc; ai đến rồi đi giữa hai lần đọc thì không bao giờ thấy được, nên "
            "số mất đi trong những ngày đầu nếu khác thì chỉ có thể lớn hơn hình vẽ."
        ),
    ),
    "def_stays": (
        (
            "Every stay counts, returns too: those that ended in this time by their length, those that last at its end by their "
            "length so far."
        ),
        (
            "Tính mọi lần quan tâm, kể cả quan tâm lại: những lần đã kết thúc trong thời gian này theo độ dài, những lần còn "
            "tiếp tục theo độ dài tính đến lúc cuối."
        ),
    ),
    "def_gap": (
        "No run: days without any run, where one was due by the usual interval between runs.",
        "Không chạy: những ngày không có lần chạy nào, dù theo chu kỳ thông thường phải có.",
    ),
}
"""By name: the English text and the Vietnamese one, with the same places to fill."""

DEFINITIONS = ("def_identity", "def_baseline", "def_both", "def_churn", "def_unseen")
"""What must be told beside the table of periods."""


class Words:
    """One language: `words("churn_rate")`, and numbers and dates as it writes them."""

    def __init__(self, lang: Lang, zone: ZoneInfo) -> None:
        self.lang = lang
        self._zone = zone

    def __call__(self, name: str, **values: object) -> str:
        """A text, its places filled."""
        return TEXTS[name][self.lang is Lang.VI].format(**values)

    def number(self, value: float | None, *, sign: bool = False) -> str:
        """A count, or what stands for one that could not be seen."""
        if value is None:
            return NOTHING
        return self._local(f"{value:+,}" if sign and value else f"{value:,}")

    def percent(self, value: float | None, *, sign: bool = False, digits: int = 1) -> str:
        """A share as a percentage."""
        if value is None:
            return NOTHING
        return self._local(f"{100 * value:{'+' if sign and value else ''},.{digits}f}") + "%"

    def days(self, count: int) -> str:
        """A length of time."""
        return self("one_day") if count == 1 else self("days", days=self.number(count))

    def day(self, day: date | None) -> str:
        """A date."""
        if day is None:
            return NOTHING
        return (
            f"{day:%d/%m/%Y}"
            if self.lang is Lang.VI
            else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
        )

    def month(self, day: date) -> str:
        """The month of a date."""
        return f"{day:%m/%Y}" if self.lang is Lang.VI else f"{_MONTHS[day.month - 1]} {day.year}"

    def moment(self, moment: datetime | None) -> str:
        """A date and a time of day, in ETL_TIMEZONE."""
        if moment is None:
            return NOTHING
        local = moment.astimezone(self._zone)
        return f"{self.day(local.date())} {local:%H:%M}"

    def span(self, span: Span, by: By) -> str:
        """A period as short as it can be told."""
        if span.first == span.last:
            return self.day(span.first)
        if by is By.MONTH and whole(span, By.MONTH):
            return self.month(span.first)
        first, last = span.first, span.last
        if self.lang is Lang.VI:
            return f"{first:%d/%m}{'' if first.year == last.year else f'/{first.year}'}–{last:%d/%m/%Y}"
        begin = f"{first.day}"
        if (first.year, first.month) != (last.year, last.month):
            begin += f" {_MONTHS[first.month - 1]}"
        if first.year != last.year:
            begin += f" {first.year}"
        return f"{begin} – {self.day(last)}"

    def number_format(self) -> dict[str, object]:
        """The same for charts: https://d3js.org/d3-format#formatLocale."""
        point, comma = (",", ".") if self.lang is Lang.VI else (".", ",")
        return {"decimal": point, "thousands": comma, "grouping": [3], "currency": ["", ""]}

    def _local(self, digits: str) -> str:
        """Vietnamese writes 1.234,5 for 1,234.5; a minus is a minus in both."""
        if self.lang is Lang.VI:
            digits = digits.translate(str.maketrans(",.", ".,"))
        return digits.replace("-", "−")
