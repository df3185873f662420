"""What reports say, in English and in Vietnamese.

The Vietnamese words are Zalo's own: a follower of an OA is `người quan tâm`, to unfollow is `bỏ
quan tâm`. `theo dõi` is the everyday word for *follow*, so it never stands for *observe*.
"""

from __future__ import annotations

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Follower report", "Báo cáo người quan tâm"),
    "made": (
        "Made by follower-etl on {when} ({zone}).",
        "Lập bởi follower-etl lúc {when} ({zone}).",
    ),
    "days_in": ("Days are days in {zone}.", "Ngày được tính theo {zone}."),
    "vietnam": ("Viet Nam time", "giờ Việt Nam"),
    "zone": ("{zone}", "múi giờ {zone}"),
    "compared": (
        "OAs compared: the {days} days to {day}",
        "So sánh các OA: {days} ngày đến {day}",
    ),
    "compared_note": (
        "The same days for every OA. “Since” stands where an OA has been read for a shorter time.",
        "Cùng một khoảng ngày cho mọi OA. “Từ” là ngày bắt đầu đọc, với OA có dữ liệu ngắn hơn.",
    ),
    "account": ("OA", "OA"),
    "all_accounts": ("All OAs", "Tất cả OA"),
    "left_out": ("Left out", "Không có trong báo cáo"),
    "nothing_read": (
        "{oa}: nothing was read in this time",
        "{oa}: chưa đọc được danh sách trong thời gian này",
    ),
    "from_to": ("{first} to {last}", "Từ {first} đến {last}"),
    "headline": (
        "{following} followers on {day} ({net} since {first}: {won} new or returned, {lost} left).",
        (
            "{following} người quan tâm ngày {day} ({net} kể từ {first}: {won} quan tâm mới hoặc "
            "quan tâm lại, {lost} bỏ quan tâm)."
        ),
    ),
    "headline_unseen": (
        "{following} followers are known on {day}. Who left in this time is not known.",
        "Ghi nhận được {following} người đang quan tâm ngày {day}. Không biết ai đã bỏ quan tâm trong thời gian này.",
    ),
    "first_night": (
        (
            "{following} followers on {day}. This is the first reading: the first change needs two "
            "nights, a weekly rate seven, the months of new followers a month."
        ),
        (
            "{following} người quan tâm ngày {day}. Đây là lần đọc đầu tiên: cần hai đêm để thấy thay "
            "đổi đầu tiên, bảy đêm để có tỷ lệ theo tuần, một tháng để có bảng theo tháng."
        ),
    ),
    "part_read": (
        "{seen} of {total} could be read ({share}).",
        "Đọc được {seen} trên {total} người ({share}).",
    ),
    "read_whole": (
        "The whole list was read on {seen} of {days} days, last on {last}.",
        "Đọc đủ danh sách {seen}/{days} ngày, lần gần nhất lúc {last}.",
    ),
    "never_whole": (
        "The list was never read whole: nobody knows who left.",
        "Danh sách chưa lần nào được đọc đủ: không biết ai đã bỏ quan tâm.",
    ),
    "overall": (
        "Over the whole time {rate} of the followers left per 30 days (left ÷ follower-days × 30).",
        "Tính cả thời gian, cứ 30 ngày có {rate} bỏ quan tâm (bỏ quan tâm ÷ số ngày-người × 30).",
    ),
    "overall_start": (
        "Of the {users} there at the start, {share} had left at the last whole reading.",
        "Trong {users} người có từ đầu, {share} không còn quan tâm ở lần đọc đủ gần nhất.",
    ),
    # Tiles.
    "last_days": ("Last {days} days", "{days} ngày qua"),
    "last_days_to": ("The {days} days to {day}", "{days} ngày đến {day}"),
    "before_days": ("{value} in the {days} days before", "{days} ngày trước đó: {value}"),
    "then": ("{value} on {day}", "ngày {day}: {value}"),
    "change": ("{change} points", "{change} điểm %"),
    "since_day": ("since {day}", "từ {day}"),
    "covers": ("covers {span}", "gồm {span}"),
    # The table of periods.
    "periods_day": ("Figures by day", "Số liệu theo ngày"),
    "periods_week": ("Figures by week", "Số liệu theo tuần"),
    "periods_month": ("Figures by month", "Số liệu theo tháng"),
    "by_day": ("by day", "theo ngày"),
    "by_week": ("by week", "theo tuần"),
    "by_month": ("by month", "theo tháng"),
    "period": ("Period", "Kỳ"),
    "total": ("Total", "Tổng cộng"),
    "following": ("Followers", "Người quan tâm"),
    "following_start": ("At start", "Đầu kỳ"),
    "baseline": ("Already there", "Có sẵn"),
    "followed": ("New", "Quan tâm mới"),
    "refollowed": ("Returned", "Quan tâm lại"),
    "unfollowed": ("Left", "Bỏ quan tâm"),
    "net": ("Net", "Tăng ròng"),
    "following_end": ("At end", "Cuối kỳ"),
    "churn_rate": ("Churn", "Tỷ lệ rời bỏ"),
    "growth_rate": ("Growth", "Tăng trưởng"),
    "coverage": ("Nights read", "Đêm đọc đủ"),
    "trend": ("Trend", "Xu hướng"),
    "not_seen": ("no data", "không có dữ liệu"),
    # Charts.
    "curve": ("Followers, day by day", "Số người quan tâm theo ngày"),
    "curve_desc": (
        (
            "A line from {first} on {first_day} to {last} on {last_day}; lowest {low}, highest {high}; "
            "stretches without data: {gaps}."
        ),
        (
            "Đường biểu diễn từ {first} ngày {first_day} đến {last} ngày {last_day}; thấp nhất {low}, cao nhất {high}; "
            "số đoạn thiếu dữ liệu: {gaps}."
        ),
    ),
    "curve_whole": (
        "Each point of the line is a day on which the whole list was read.",
        "Mỗi điểm là một ngày đọc đủ danh sách.",
    ),
    "curve_note": (
        "Grey: days on which it was not. Hollow points: read in part, so that nobody was marked as having left.",
        "Vùng tô xám: những ngày không đọc đủ. Chấm rỗng: chỉ đọc được một phần, nên không ai bị đánh dấu là bỏ quan tâm.",
    ),
    "curve_table": ("Followers, day by day, as a table", "Bảng số người quan tâm theo ngày"),
    "reading": ("Reading", "Lần đọc"),
    "whole": ("whole", "đủ"),
    "in_part": ("in part", "một phần"),
    "date": ("Day", "Ngày"),
    "wins": ("New and left", "Quan tâm mới và bỏ quan tâm"),
    "wins_desc": (
        (
            "Bars {by}: upwards {followed} new and {refollowed} returned, downwards {unfollowed} left in all. "
            "The table below has the numbers."
        ),
        (
            "Biểu đồ cột {by}: phía trên tổng cộng {followed} quan tâm mới và {refollowed} quan tâm lại, phía dưới {unfollowed} "
            "bỏ quan tâm. Bảng bên dưới có đủ các số."
        ),
    ),
    "wins_note": ("Bars are drawn {by}.", "Cột được vẽ {by}."),
    "wins_hatched": (
        "Hatched: what was found covers other days than the bar's. Grey: nobody knows who left.",
        "Cột gạch chéo: số tìm thấy gồm cả những ngày ngoài kỳ. Vùng tô xám: không biết ai đã bỏ quan tâm.",
    ),
    # Cohorts.
    "cohorts": ("Retention: do new followers stay?", "Người mới có ở lại không?"),
    "cohort": ("First followed in", "Quan tâm lần đầu vào"),
    "at_start": ("Already there", "Có sẵn từ đầu"),
    "users": ("Users", "Số người"),
    "months_since": ("Months since the first follow", "Số tháng kể từ lần quan tâm đầu tiên"),
    "cohort_desc": (
        (
            "The share who followed at the end of each month, by the month in which they began ({cohorts} months). "
            "The table below has the numbers."
        ),
        "Tỷ lệ còn quan tâm theo tháng bắt đầu ({cohorts} tháng). Bảng bên dưới có đủ các số.",
    ),
    "cohort_tip": (
        "First followed in {month}: {count} of {users} ({share}) followed at the end of {then}",
        "Quan tâm lần đầu vào {month}: {count} trên {users} người ({share}) còn quan tâm vào cuối {then}",
    ),
    "start_tip": (
        "There at the start: {count} of {users} ({share}) followed at the end of {then}",
        "Có sẵn từ đầu: {count} trên {users} người ({share}) còn quan tâm vào cuối {then}",
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
    "survival": (
        "How long new followers stay, of those whom a reading saw at least once",
        "Người mới ở lại bao lâu, tính trên những người có mặt trong ít nhất một lần đọc",
    ),
    "survival_axis": ("Days since the first follow", "Số ngày kể từ lần quan tâm đầu tiên"),
    "still": ("Still follow", "Còn quan tâm"),
    "day": ("After (days)", "Sau (ngày)"),
    "band": ("95% sure: between", "Tin cậy 95%: trong khoảng"),
    "at_risk": ("Observed that long", "Số người đã quan sát đủ chừng ấy ngày"),
    "median": (
        "Half of them have left after {days}.",
        "Một nửa trong số họ đã bỏ quan tâm sau {days}.",
    ),
    "no_median": (
        "More than half of them stay longer than could be observed so far ({days}).",
        "Hơn một nửa ở lại lâu hơn thời gian đã quan sát được ({days}).",
    ),
    "survival_desc": (
        "A falling step line of {users} new followers, of whom {left} left, with a shaded band. {median}",
        "Đường bậc thang giảm dần của {users} người quan tâm mới, {left} người đã bỏ quan tâm, kèm vùng tin cậy. {median}",
    ),
    "survival_tip": (
        "After {days}: {share} still follow ({low} to {high})",
        "Sau {days}: {share} còn quan tâm ({low} đến {high})",
    ),
    # Time as a follower.
    "stays": ("Time as a follower", "Thời gian quan tâm"),
    "stay_days": ("{first} to {last} days", "{first} đến {last} ngày"),
    "stay_more": ("{first} days and more", "Từ {first} ngày trở lên"),
    "left": ("Left in this time", "Đã bỏ quan tâm trong thời gian này"),
    "follow": ("Follow at its end", "Còn quan tâm ở cuối kỳ"),
    "stay_median": ("Median", "Trung vị"),
    "stay_unknown": ("Not known (already there)", "Không rõ (có sẵn từ trước)"),
    "days": ("{days} days", "{days} ngày"),
    "one_day": ("1 day", "1 ngày"),
    # The most recent unfollows.
    "recent": ("Who left last", "Những lượt bỏ quan tâm gần đây nhất"),
    "user": ("User_Id", "Mã người dùng (User_Id)"),
    "unfollowed_at": ("Found on", "Phát hiện lúc"),
    "followed_at": ("Followed since", "Quan tâm từ"),
    "length": ("Stayed", "Ở lại"),
    "before_us": ("before the first reading", "trước lần đọc đầu tiên"),
    "no_recent": ("Nobody was found to have left.", "Không có ai bỏ quan tâm."),
    # What could not be read.
    "unseen": ("Nights without data", "Những ngày thiếu dữ liệu"),
    "all_seen": (
        "None: every run read the whole list.",
        "Không có: lần chạy nào cũng đọc đủ danh sách.",
    ),
    "kind": ("What", "Loại"),
    "since": ("From", "Từ"),
    "until": ("To", "Đến"),
    "runs": ("Runs", "Số lần chạy"),
    "reason": ("Why", "Lý do"),
    "gap": ("no run", "không chạy"),
    "partial": ("read in part", "đọc được một phần"),
    "held": ("held, to be confirmed", "tạm giữ, chờ xác nhận"),
    "failed": ("failed", "thất bại"),
    "undone": ("taken back", "đã hoàn tác"),
    "lasting": ("goes on", "đang tiếp diễn"),
    "held_back": (
        "{count} would have been marked as having left",
        "lẽ ra đã đánh dấu {count} người là bỏ quan tâm",
    ),
    # Definitions.
    "definitions": ("What the numbers mean", "Ý nghĩa các con số"),
    "def_identity": (
        "At end − at start = already there + new + returned − left. Net = new + returned − left.",
        (
            "Cuối kỳ − đầu kỳ = có sẵn + quan tâm mới + quan tâm lại − bỏ quan tâm. "
            "Tăng ròng = quan tâm mới + quan tâm lại − bỏ quan tâm."
        ),
    ),
    "def_baseline": (
        "Already there: who followed before the list was first read. They are not new in that period.",
        "Có sẵn: những người đã quan tâm từ trước khi danh sách được đọc lần đầu. Họ không được tính là người mới của kỳ đó.",
    ),
    "def_both": (
        "New: for the first time. Returned: after having left. Who comes and goes within one period counts as new and as left.",
        (
            "Quan tâm mới: lần đầu tiên. Quan tâm lại: sau khi đã bỏ quan tâm. Ai đến rồi đi trong cùng một kỳ được tính cả vào "
            "quan tâm mới lẫn bỏ quan tâm."
        ),
    ),
    "def_churn": (
        (
            "Churn = left in the period ÷ followers at its start, those already there among them. Growth = net ÷ the same. "
            "Both stand only where the list was read whole near both ends of the period."
        ),
        (
            "Tỷ lệ rời bỏ = số bỏ quan tâm trong kỳ ÷ số người quan tâm đầu kỳ, kể cả số có sẵn. Tăng trưởng = tăng ròng ÷ cùng số đó. "
            "Chỉ tính hai tỷ lệ này khi danh sách được đọc đủ ở gần cả hai đầu kỳ."
        ),
    ),
    "def_unseen": (
        (
            "– is not 0: there is no number, because the list was not read whole (or nobody followed before). What happened "
            "meanwhile is counted on the day that found it; “covers” names the days."
        ),
        (
            "– không phải là 0: không có số liệu vì danh sách không được đọc đủ (hoặc trước đó chưa có ai quan tâm). Những gì xảy ra "
            "trong lúc đó được tính vào ngày phát hiện; “gồm” cho biết là những ngày nào."
        ),
    ),
    "def_cohort": (
        (
            "Of the users who first followed in a month: the share who followed at the end of that month (0) and of each month "
            "after it, also after having been away. First row: those there at the start. "
            "–: not read whole near the end of that month."
        ),
        (
            "Trong số người quan tâm lần đầu vào một tháng: tỷ lệ còn quan tâm vào cuối tháng đó (0) và cuối mỗi tháng sau, "
            "dù ở giữa có lúc bỏ quan tâm hay không. Dòng đầu: những người có sẵn từ đầu. "
            "–: gần cuối tháng đó không lần nào đọc đủ danh sách."
        ),
    ),
    "def_survival": (
        (
            "Of those who first followed in this time, and of their first stay only. Who still follows counts for as long as was "
            "observed. How it is computed: docs/reports.md."
        ),
        (
            "Chỉ tính lần quan tâm đầu tiên của những người mới trong thời gian này. Ai còn quan tâm thì được tính đến lần đọc đủ "
            "gần nhất. Cách tính: docs/reports.md."
        ),
    ),
    "def_interval": (
        (
            "Who comes and leaves between two readings is in no figure. With one reading a day and many who leave within hours, "
            "as after a voucher, the true losses of the first days are clearly larger than drawn: read several times on such days."
        ),
        (
            "Ai đến rồi đi giữa hai lần đọc thì không có trong số liệu nào. Nếu mỗi ngày chỉ đọc một lần mà nhiều người bỏ quan tâm "
            "sau vài giờ (ví dụ sau khi nhận voucher), số người bỏ quan tâm những ngày đầu thực tế cao hơn rõ rệt so với biểu đồ: "
            "những ngày đó nên đọc nhiều lần."
        ),
    ),
    "def_stays": (
        "Every stay counts, also after a return: those that ended by their length, those that go on by their length so far.",
        (
            "Tính mọi lần quan tâm, kể cả quan tâm lại: những lần đã kết thúc theo độ dài, những lần còn "
            "tiếp tục theo độ dài tính đến nay."
        ),
    ),
    "def_gap": (
        "No run: days without any run, where one was due by the usual interval between runs.",
        "Không chạy: những ngày không có lần chạy nào, dù theo chu kỳ thông thường phải có.",
    ),
    # The index of many OAs.
    "index": ("All OAs", "Tất cả các OA"),
    "back": ("All OAs", "Tất cả các OA"),
    "last_whole": ("Last read whole", "Đọc đủ gần nhất"),
    "flag": ("Look at", "Cần xem"),
    "flag_nothing": ("nothing was read in this time", "chưa đọc được gì trong thời gian này"),
    "flag_never": ("never read whole", "chưa lần nào đọc đủ"),
    "flag_old": ("not read whole for {days}", "đã {days} chưa đọc đủ"),
    "sort_hint": ("Click a header to sort.", "Bấm vào tên cột để sắp xếp."),
}
"""By name: the English text and the Vietnamese one, with the same places to fill."""

DEFINITIONS = ("def_identity", "def_baseline", "def_both", "def_churn", "def_unseen")
"""What must be told beside the table of periods."""
