"""`alfoscd quarantine`: what was given up, and try it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.main import complain
from daemon.cli.options import add_config
from daemon.publish.words import argument, clean, last_line
from daemon.status_lines import TroubleLine
from daemon.status_words import advice_on

if TYPE_CHECKING:
    import argparse

    from daemon.memory.archive import Archive
    from daemon.memory.records import FileRecord, Job
    from daemon.work.second_chances import GivenUp


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its actions."""
    parser = subparsers.add_parser(
        "quarantine",
        help="list files and jobs that were given up, or try them again",
        description="Files that were not taken in and jobs that failed for good, each with its "
        "reason. Nothing here is lost: the raw files are where they were.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_config(actions.add_parser("list", help="list them with reason and advice"))
    again = actions.add_parser("retry", help="try them again")
    again.add_argument("names", metavar="NAME", nargs="*", help="file, stem or job as listed")
    again.add_argument("--all", action="store_true", help="everything that was given up")
    again.add_argument("--user", metavar="NAME", help="who asks")
    add_config(again)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what is asked; return 0, or 2 when a name is not among what was given up."""
    config = existing_database(args)
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_database, open_read_only
    from daemon.work.jobs import JobQueue
    from daemon.work.second_chances import given_up, retry_files, retry_jobs

    listing = args.action == "list"
    engine = open_read_only(config.database) if listing else open_database(config.database)
    archive, queue = Archive(engine, SystemClock()), JobQueue(engine, SystemClock())
    found = given_up(archive, queue)
    if listing:
        print("\n".join(_list(archive, found)))
        return 0
    if bool(args.names) == args.all:
        return complain("name what to try again, or give --all; see `alfoscd quarantine list`")
    files = [item for item in found.files if args.all or _file_is(item, args.names)]
    jobs = [item for item in found.jobs if args.all or _about(archive, item) in args.names]
    if not files and not jobs:
        return complain("nothing of that name was given up: see `alfoscd quarantine list`")
    from daemon.cli.redo import user

    refused = retry_files(archive, queue, files, user(args))
    retry_jobs(archive, queue, jobs)
    for record, why in refused:
        print(f"{clean(record.path, 200)}: {why}")
    print(f"asked again: {len(files) - len(refused)} files, {len(jobs)} jobs; see `alfoscd status`")
    return 0


def _file_is(record: FileRecord, names: list[str]) -> bool:
    path = record.path
    return not {str(path), path.name, path.name.split(".")[0]}.isdisjoint(names)


def _about(archive: Archive, job: Job) -> str:
    """Return the name of a job for people: the stem of its frame, or its key."""
    frame_id = job.payload.get("frame_id")
    frame = archive.frame(int(frame_id)) if frame_id is not None else None
    return job.key if frame is None else frame.stem


def _list(archive: Archive, found: GivenUp) -> list[str]:
    lines = []
    for record in found.files:
        line = TroubleLine(
            path=record.path.name,
            state=record.state.value,
            reason=record.reason,
            since=record.last_seen,
        )
        lines += [
            f"{record.state:<12} {clean(record.path, 160)}",
            f"  {clean(record.reason, 200)}",
            f"  do: {advice_on(line)}",
        ]
    for job in found.jobs:
        about = _about(archive, job)
        lines += [
            f"{job.kind:<12} {clean(about, 120)}",
            f"  {clean(last_line(job.error), 200)}",
            f"  do: look at `alfoscd why {argument(about)}`; alfoscd quarantine retry "
            f"{argument(about)}",
        ]
    return lines or ["nothing was given up"]
