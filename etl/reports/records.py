"""ChurnReport -> CSV and JSON, for programs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from etl.model import plain
from etl.reports.csv_cells import defused

if TYPE_CHECKING:
    from etl.reports.figures import ChurnReport

CSV_COLUMNS = (
    "oaid", "name", "first", "last", "following_start", "baseline", "followed", "refollowed", "unfollowed", "net",
    "following_end", "churn_rate", "growth_rate", "complete", "partial", "observed_since", "whole", "days", "days_whole",
    "bounded", "covers_first", "covers_last", "follower_days", "churn_per_30_days",
)  # fmt: skip
"""One row an OA and period. An empty cell is not known; rates are shares (0.05 is 5 %)."""


def as_csv(report: ChurnReport) -> str:
    """The periods; everything else is in the JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for account in report.accounts:
        for period in account.periods:
            row = {"oaid": account.oaid, "name": account.name, **asdict(period)}
            writer.writerow([defused(plain(row[column])) for column in CSV_COLUMNS])
    return out.getvalue()


def as_json(report: ChurnReport) -> str:
    """Every figure: one object a line for each OA."""
    lines = []
    for account in report.accounts:
        values = {
            "by": report.by,
            "made_at": report.made_at,
            "timezone": report.timezone,
            **asdict(account),
        }
        for cohort, told in zip(account.cohorts, values["cohorts"], strict=True):
            told["retention"] = cohort.retention
        if account.there_at_start is not None:
            values["there_at_start"]["retention"] = account.there_at_start.retention
        values["survival"]["median"] = account.survival.median
        lines.append(json.dumps(values, default=plain, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)
