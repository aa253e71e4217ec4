"""Everything the daemon remembers about files, frames, products and itself."""

from __future__ import annotations

from daemon.memory.archive_alerts import AlertArchive
from daemon.memory.archive_canaries import CanaryArchive
from daemon.memory.archive_candidates import CandidateArchive
from daemon.memory.archive_combinations import CombinationArchive
from daemon.memory.archive_differences import DifferenceArchive
from daemon.memory.archive_frames import FrameArchive
from daemon.memory.archive_health import HealthArchive
from daemon.memory.archive_interactions import InteractionArchive
from daemon.memory.archive_judgements import JudgementArchive
from daemon.memory.archive_kinds import KindArchive
from daemon.memory.archive_occasions import OccasionArchive
from daemon.memory.archive_overview import OverviewArchive
from daemon.memory.archive_products import ProductArchive
from daemon.memory.archive_reports import ReportArchive
from daemon.memory.archive_triggers import TriggerArchive


class Archive(
    OverviewArchive,
    FrameArchive,
    ProductArchive,
    CombinationArchive,
    TriggerArchive,
    AlertArchive,
    DifferenceArchive,
    JudgementArchive,
    InteractionArchive,
    KindArchive,
    OccasionArchive,
    CandidateArchive,
    CanaryArchive,
    HealthArchive,
    ReportArchive,
):
    """Every query on the daemon's tables.

    Every method joins the caller's transaction when `within` is given, so that a frame and the
    jobs that follow from it can be recorded together.
    """
