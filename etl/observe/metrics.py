"""Metrics for Prometheus' node_exporter (textfile): one small file, replaced after every run.

The file is the state of the OAs after their last run here, so it must be whole after every run: a
run of some OAs (`--oaid`) keeps what the file says of the others, and a run that fails keeps when
its OA was last read whole. Both come from the file before; the database is asked where that one has
nothing to say (it is new, or was deleted). A run of all OAs writes the file anew: an OA that is no
longer synced goes out of it, and its alerts with it. Two runs with different settings need two
files.
"""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from etl.db.engine import reading
from etl.db.snapshots import latest
from etl.errors import EtlError
from etl.files import atomic_file, permit, resolved
from etl.model import APPLIED, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Engine

    from etl.sync.run import Outcome

LAST_SUCCESS = "etl_sync_last_success_timestamp_seconds"
LAST_RUN = "etl_sync_last_run_timestamp_seconds"
EXIT_CODE = "etl_sync_exit_code"
STATUS = "etl_sync_status"
INFO = "etl_account_info"
FOLLOWING = "etl_following_users"

GAUGES = {
    LAST_SUCCESS: "When the OA's list was last read whole (unix time); absent where it never was.",
    FOLLOWING: "Users who follow the OA, after its last applied sync.",
    "etl_announced_users": "The last Total that the API gave for the OA.",
    "etl_seen_users": "Distinct users that the last sync saw.",
    "etl_followed_users": "Users who followed for the first time, by the last sync; absent where it was not applied.",
    "etl_refollowed_users": "Users who followed again, by the last sync; absent where it was not applied.",
    "etl_unfollowed_users": "Users who unfollowed, by the last sync; absent where it was not applied.",
    "etl_sync_duration_seconds": "How long the last sync of the OA took.",
    "etl_sync_requests": "Requests to the API of the last sync, retries included.",
    "etl_sync_retries": "How many of them were second or later tries.",
}
"""By OA, with their help."""

STATUSES = (Status.COMPLETE, Status.PARTIAL, Status.HELD, Status.FAILED, Status.BUSY)
"""What can become of a sync; one of them is 1."""

LABELS = {STATUS: "status", INFO: "name"}
"""The metrics that have a second label, beside `oaid`."""

Samples = dict[tuple[str, str], float]
"""The values of one OA, by metric and its second label ("" where it has none)."""


def measured(outcome: Outcome, *, last_success: float | None, following: float | None) -> Samples:
    """The values of an OA after a run.

    `last_success` (unix time) and `following` as they were before it.
    """
    snapshot = outcome.snapshot
    # What a held one would have marked did not happen.
    counts = snapshot.counts if snapshot.status in APPLIED else None
    if snapshot.status == Status.COMPLETE and snapshot.finished_at is not None:
        last_success = snapshot.finished_at.timestamp()
    values = {
        LAST_SUCCESS: last_success,
        FOLLOWING: counts.following if counts else following,
        "etl_announced_users": snapshot.total,
        "etl_seen_users": snapshot.seen,
        "etl_followed_users": counts.followed if counts else None,
        "etl_refollowed_users": counts.refollowed if counts else None,
        "etl_unfollowed_users": counts.unfollowed if counts else None,
        "etl_sync_duration_seconds": outcome.duration_s,
        "etl_sync_requests": snapshot.requests,
        "etl_sync_retries": snapshot.retries,
    }
    samples: Samples = {
        (name, ""): float(value) for name, value in values.items() if value is not None
    }
    return samples | {(STATUS, status): float(snapshot.status == status) for status in STATUSES}


def update_file(
    path: Path,
    outcomes: Sequence[Outcome],
    *,
    exit_code: int,
    now: datetime,
    keep_others: bool,
    connect: Callable[[], Engine],
) -> None:
    """Replace the file by what a run found.

    Args:
        path: ETL_METRICS_FILE.
        outcomes: what became of each OA.
        exit_code: of the run.
        now: when the run ended.
        keep_others: whether what the file says of OAs that are not in `outcomes` still holds.
        connect: gives the database; asked only where the file before does not know an OA.

    Raises:
        OSError: the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is no file")  # opening a pipe would wait for its reader
    before = _read(path)
    after = dict(before) if keep_others else {}
    for outcome in outcomes:
        snapshot, oaid = outcome.snapshot, outcome.snapshot.oaid
        known = before.get(oaid, {})
        last_success, following = known.get((LAST_SUCCESS, "")), known.get((FOLLOWING, ""))
        if snapshot.status != Status.COMPLETE and not last_success:
            last_success, following = _by_database(connect, oaid)
        after[oaid] = measured(outcome, last_success=last_success, following=following)
        after[oaid][INFO, outcome.name] = 1.0
    text = _text(after, exit_code, now)
    with atomic_file(path, "wb") as file:
        # node_exporter is another user, and the umask of a service need not be kind.
        permit(file, 0o644)
        file.write(text)


def try_writing(path: Path) -> None:
    """Make a file beside `path`, as a run would, and take it away again.

    Raises:
        OSError: a run could not write its metrics.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    with TemporaryFile(dir=resolved(path).parent):
        pass


def _by_database(connect: Callable[[], Engine], oaid: str) -> tuple[float | None, float | None]:
    """When the OA was last read whole, and who follows it; None where the database cannot tell."""
    try:
        with reading(connect()) as connection:
            complete = latest(connection, oaid, (Status.COMPLETE,))
            applied = latest(connection, oaid, APPLIED)
    except EtlError:
        return None, None
    finished = complete[0].finished_at if complete else None
    counts = applied[0].counts if applied else None
    return finished.timestamp() if finished else None, counts.following if counts else None


def _read(path: Path) -> dict[str, Samples]:
    """What the file says of each OA; nothing where it is missing, or not of our making."""
    found: dict[str, Samples] = {}
    try:
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
            for sample in family.samples:
                if "oaid" in sample.labels and sample.name in {*GAUGES, *LABELS}:
                    key = sample.name, sample.labels.get(LABELS.get(sample.name, ""), "")
                    found.setdefault(sample.labels["oaid"], {})[key] = sample.value
    except (OSError, ValueError, KeyError, IndexError):
        return {}
    return found


def _text(oas: Mapping[str, Samples], exit_code: int, now: datetime) -> bytes:
    """The exposition format of Prometheus."""
    registry = CollectorRegistry()
    gauges = {
        name: Gauge(name, words, ["oaid"], registry=registry) for name, words in GAUGES.items()
    }
    for name, words in (
        (STATUS, "1 for what became of the OA's last sync, 0 for the rest."),
        (INFO, "The name of the OA, to join others with on `oaid`; empty where it is not known."),
    ):
        gauges[name] = Gauge(name, words, ["oaid", LABELS[name]], registry=registry)
    for oaid, samples in sorted(oas.items()):
        for (name, second), value in samples.items():
            gauges[name].labels(*([oaid, second] if name in LABELS else [oaid])).set(value)
    Gauge(LAST_RUN, "When the last run ended (unix time), however it did.", registry=registry).set(
        now.timestamp()
    )
    Gauge(EXIT_CODE, "Exit code of the last run.", registry=registry).set(exit_code)
    return generate_latest(registry)
