from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from calibration_store.tables import Base
from daemon.memory import sqlite
from daemon.memory.database import SCHEMA, open_database, open_read_only, reading, writing
from daemon.memory.errors import (
    NoDatabase,
    SchemaTooNew,
    SchemaTooOld,
    StoreCorrupt,
    StorePaused,
)

MIGRATIONS = Path(sqlite.__file__).with_name("migrations")
TEXTS = "topic, subject, html, night, target, programme, slot, storm, next_try, created_at"
LISTS = "attachments, blocks, payload, recipients, avoided"
NOTHING, EMPTY = ", ".join(["''"] * 10), ", ".join(["'[]'"] * 5)
NOTICE = text(
    f"INSERT INTO notice (dedup_key, text, {TEXTS}, {LISTS}, priority, routed) VALUES"
    f" (:key, :text, {NOTHING}, {EMPTY}, 50, 0)"
)
COUNT = text("SELECT count(*) FROM notice")


def start_python(code, *arguments):
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )


def run_python(code, *arguments):
    process = start_python(code, *arguments)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def count(engine):
    with reading(engine) as session:
        return session.scalar(COUNT)


def set_schema(path, revision):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night" / "alfoscd.sqlite"


@pytest.fixture
def engine(path):
    engine = open_database(path)
    yield engine
    engine.dispose()


def test_migrations_from_an_empty_file_give_the_declared_schema(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_declared_schema_is_the_head_of_the_migrations():
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == SCHEMA


def test_the_schema_can_be_taken_back_to_nothing(engine):
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as session:
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "base")
    with engine.connect() as connection:
        tables = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        assert set(tables) == {"alembic_version"}


def test_opening_again_changes_nothing(engine, path):
    with writing(engine) as session:
        session.execute(NOTICE, {"key": "a", "text": ""})
    again = open_database(path)
    assert count(again) == 1
    again.dispose()


def test_a_migration_that_fails_leaves_the_database_as_it_was(path, monkeypatch):
    broken = path.parent / "migrations"
    shutil.copytree(MIGRATIONS, broken, ignore=shutil.ignore_patterns("__pycache__"))
    script = broken / "versions" / "0002_redo_and_verdicts.py"
    script.write_text(
        script.read_text().replace(
            "\n\ndef downgrade", '\n    op.execute("NONSENSE")\n\ndef downgrade'
        )
    )
    monkeypatch.setattr("daemon.memory.database._MIGRATIONS", broken)
    with pytest.raises(OperationalError, match="NONSENSE"):
        open_database(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


def test_a_newer_schema_is_refused_by_name(path):
    open_database(path).dispose()
    set_schema(path, "9999")
    with pytest.raises(SchemaTooNew, match="9999"):
        open_database(path)
    with pytest.raises(SchemaTooNew, match="9999"):
        open_read_only(path)


def test_an_older_schema_is_not_read_before_it_is_migrated(path):
    open_database(path).dispose()
    set_schema(path, "0000")
    with pytest.raises(SchemaTooOld, match="0000"):
        open_read_only(path)


def test_reading_before_the_first_start_says_that_there_is_no_database(path):
    with pytest.raises(NoDatabase):
        open_read_only(path)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.touch()
    with pytest.raises(NoDatabase):
        open_read_only(path)


def test_a_damaged_file_is_named_so(path):
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 300)
    with pytest.raises(StoreCorrupt):
        open_database(path)
    with pytest.raises(StoreCorrupt):
        open_read_only(path)


def test_a_damaged_file_is_told_with_the_commands_that_bring_the_newest_copy_back(path):
    (path.parent / "backup").mkdir(parents=True)
    engine = open_database(path)
    engine.dispose()
    for night in ("2026-11-19", "2026-11-20"):
        shutil.copy(path, path.parent / "backup" / f"{path.stem}_{night}.sqlite")
    path.write_bytes(b"this is no database " * 300)
    with pytest.raises(StoreCorrupt) as told:
        open_database(path)
    commands = re.search(r"\((cd .*?\.sqlite)\)", str(told.value))[1]
    subprocess.run(commands, shell=True, check=True)
    open_database(path).dispose()
    assert (path.parent / "damaged" / path.name).read_bytes().startswith(b"this is no database")
    assert "_2026-11-20.sqlite" in commands


def test_damaged_pages_are_named_so(engine, path):
    with writing(engine) as session:
        for number in range(300):
            session.execute(NOTICE, {"key": str(number), "text": "x" * 500})
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        count(open_read_only(path))


def test_somebody_elses_database_is_not_taken_over(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (cake TEXT)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="something else"):
        open_database(path)


def test_read_only_cannot_write(engine, path):
    looking = open_read_only(path)
    with pytest.raises(StorePaused, match="read-only"), looking.begin() as connection:
        connection.execute(NOTICE, {"key": "a", "text": ""})
    looking.dispose()


def test_reading_sees_what_a_living_daemon_has_just_written(engine, path):
    with writing(engine) as session:
        session.execute(NOTICE, {"key": "a", "text": ""})
    looking = open_read_only(path)
    assert count(looking) == 1
    looking.dispose()


def test_reading_works_with_the_daemon_down_and_leaves_no_trace(engine, path):
    with writing(engine) as session:
        session.execute(NOTICE, {"key": "a", "text": ""})
    engine.dispose()
    before = sorted(path.parent.iterdir())
    looking = open_read_only(path)
    assert count(looking) == 1
    looking.dispose()
    assert sorted(path.parent.iterdir()) == before


def test_reading_does_not_wait_for_a_writer(engine, path):
    with writing(engine) as session:
        session.execute(NOTICE, {"key": "a", "text": ""})
        assert count(engine) == 0
        looking = open_read_only(path)
        assert count(looking) == 0
        looking.dispose()
    assert count(engine) == 1


def test_a_writer_that_read_first_waits_its_turn_instead_of_failing(engine):
    inside = threading.Event()
    order = []

    def second():
        inside.wait(60)
        with writing(engine) as session:
            order.append(session.scalar(COUNT))
            session.execute(NOTICE, {"key": "b", "text": ""})

    thread = threading.Thread(target=second)
    thread.start()
    with writing(engine) as session:
        assert session.scalar(COUNT) == 0
        inside.set()
        thread.join(0.1)
        assert thread.is_alive()
        session.execute(NOTICE, {"key": "a", "text": ""})
    thread.join(60)
    assert order == [1]
    assert count(engine) == 2


def test_a_lock_that_never_opens_pauses_the_store(engine, path):
    impatient = open_database(path, busy_timeout_s=0.05)
    with writing(engine), pytest.raises(StorePaused, match="locked"), writing(impatient):
        pass
    with writing(impatient) as session:
        session.execute(NOTICE, {"key": "a", "text": ""})
    impatient.dispose()


def test_a_full_disk_pauses_the_store_and_loses_nothing(path):
    engine = open_database(path)
    with writing(engine) as session:
        session.execute(NOTICE, {"key": "kept", "text": ""})

    def fill(limit):
        with writing(engine) as session:
            session.execute(text(f"PRAGMA max_page_count = {limit}"))
            for number in range(200):
                session.execute(NOTICE, {"key": str(number), "text": "x" * 4000})

    with pytest.raises(StorePaused, match="full"):
        fill(1)
    assert count(engine) == 1
    fill(10**9)
    assert count(engine) == 201
    engine.dispose()


FILE_LIMIT = """
import resource, sys
from pathlib import Path
from sqlalchemy import text
from daemon.memory.database import open_database, writing
from daemon.memory.errors import StorePaused
engine = open_database(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
number = 0
try:
    while True:
        with writing(engine) as session:
            session.execute(text(sys.argv[2]), {"key": str(number), "text": "x" * 3000})
        number += 1
except StorePaused:
    print(number)
"""


def test_a_disk_that_gives_errors_while_committing_pauses_the_store(path):
    done = run_python(FILE_LIMIT, path, NOTICE.text)
    assert done.returncode == 0, done.stderr
    engine = open_database(path)
    assert count(engine) == int(done.stdout) > 0
    engine.dispose()


def test_a_mistake_of_ours_is_not_taken_for_a_pause(engine):
    with pytest.raises(OperationalError), writing(engine) as session:
        session.execute(text("SELECT * FROM nowhere"))
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.execute(NOTICE, {"key": None, "text": ""})


def test_an_exception_inside_a_transaction_undoes_all_of_it(engine):
    def stop_half_way():
        with writing(engine) as session:
            session.execute(NOTICE, {"key": "a", "text": ""})
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stop_half_way()
    assert count(engine) == 0


KILLED = """
import os, sys
from pathlib import Path
from sqlalchemy import text
from daemon.memory.database import open_database, writing
engine = open_database(Path(sys.argv[1]))
statement = text(sys.argv[2])
for number in range(10**9):
    with writing(engine) as session:
        for half in "ab":
            session.execute(statement, {"key": f"{sys.argv[3]}-{number}-{half}", "text": "x" * 300})
    os.write(1, b"%d\\n" % number)
"""


def test_kill_9_keeps_every_committed_transaction_and_no_half_one(path):
    engine = open_database(path)
    promised = 0
    for turn in range(4):
        process = start_python(KILLED, path, NOTICE.text, turn)
        for _ in range(20 + 7 * turn):
            assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        # communicate() would forget the lines that are buffered already.
        promised += 20 + 7 * turn + len(process.stdout.read().splitlines())
        process.communicate()
    with reading(engine) as session:
        keys = set(session.scalars(text("SELECT dedup_key FROM notice")))
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    halves = {key[:-2] for key in keys}
    assert keys == {f"{each}-{half}" for each in halves for half in "ab"}
    # One more commit per kill may have happened before it could be told.
    assert promised <= len(halves) <= promised + 4
    engine.dispose()


OPENING = """
import sys
from pathlib import Path
from daemon.memory.database import open_database
sys.stdin.readline()
open_database(Path(sys.argv[1]))
"""


def test_processes_that_start_together_on_an_empty_folder_migrate_once(path):
    processes = [start_python(OPENING, path) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    open_read_only(path).dispose()


def test_starting_does_not_import_alembic_when_the_schema_is_current(engine, path):
    code = (
        "import sys; from pathlib import Path; from daemon.memory.database import open_database;"
        "open_database(Path(sys.argv[1])); sys.exit('alembic' in sys.modules)"
    )
    assert run_python(code, path).returncode == 0
