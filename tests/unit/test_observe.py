# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of an instance's files and server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _observe_instance,
    _observe_sql,
    _postgres,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError, Instance


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setattr(_postgres, "STATE_DIRECTORY", tmp_path / "state")
    monkeypatch.setattr(Instance, "configuration", tmp_path / "etc")
    return Instance("16", "main", tmp_path / "data")


def refuse(*given: Instance | list[Any] | str, **options: Any) -> None:
    raise CommandError("it is not there")


# The instance's files.


def make(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)


NOTHING: dict[str, Any] = {
    "state": "absent",
    "version": None,
    "wal_directory": None,
    "incomplete": False,
    "standby_signal": False,
    "slots": [],
    "auto_conf": {},
    "synchronous_set": "",
}


@pytest.mark.parametrize(
    ("contents", "differs"),
    [
        pytest.param(None, {}, id="absent"),
        pytest.param({}, {"state": "empty"}, id="empty"),
        pytest.param({"lost+found": ""}, {"state": "empty"}, id="file system of its own"),
        pytest.param({"notes.txt": ""}, {"state": "foreign"}, id="foreign"),
        pytest.param({"lost+found": "", "notes.txt": ""}, {"state": "foreign"}, id="foreign on its own"),
        pytest.param({"PG_VERSION": "16\n"}, {"state": "cluster", "version": "16"}, id="cluster"),
        pytest.param(
            {"PG_VERSION": "16\n", "standby.signal": ""},
            {"state": "cluster", "version": "16", "standby_signal": True},
            id="standby",
        ),
        pytest.param(
            {
                "PG_VERSION": "16\n",
                "postgresql.auto.conf": "# Do not edit\n  # nor this\n\nwork_mem = '4MB'\nJIT=off\n"
                "app.name = 'it is'\nport 5433\n",
            },
            {
                "state": "cluster",
                "version": "16",
                "auto_conf": {"work_mem": "4MB", "jit": "off", "app.name": "it is", "port": "5433"},
            },
            id="ALTER SYSTEM",
        ),
    ],
)
def test_data(instance: Instance, contents: dict[str, str] | None, differs: dict[str, Any]) -> None:
    if contents is not None:
        make(instance.data_directory, **contents)
    found = _observe_instance.data(instance)
    assert found == {"directory": str(instance.data_directory)} | NOTHING | differs


def test_data_with_its_wal_elsewhere(instance: Instance, tmp_path: Path) -> None:
    make(instance.data_directory, PG_VERSION="16\n")
    make(tmp_path / "wal")
    (instance.data_directory / "pg_wal").symlink_to(tmp_path / "wal")
    assert _observe_instance.data(instance)["wal_directory"] == str(tmp_path / "wal")


def test_data_beside_what_was_left(instance: Instance, tmp_path: Path) -> None:
    make(tmp_path / "data.incomplete")
    found = _observe_instance.data(instance)
    assert (found["state"], found["incomplete"]) == ("absent", True)


def test_the_file_of_the_synchronous_set(instance: Instance) -> None:
    make(instance.synchronous_file.parent, **{instance.synchronous_file.name: SET})
    assert _observe_instance.data(instance)["synchronous_set"] == 'ANY 1 ("db2", "db4")'


SET = """# Written by /usr/local/lib/steadfast/synchronous.
synchronous_standby_names = 'ANY 1 ("db2", "db4")'
"""


def test_journal(instance: Instance) -> None:
    assert _observe_instance.journal(instance) == {"synchronous_set": None, "error": None}
    make(instance.journal.parent, **{"journal.jsonl": '{"event": "synchronous set", "to": ["db2"]}\n'})
    entry = {"event": "synchronous set", "to": ["db2"]}
    assert _observe_instance.journal(instance) == {"synchronous_set": entry, "error": None}


def test_a_journal_that_cannot_be_read(instance: Instance) -> None:
    instance.journal.mkdir(parents=True)
    found = _observe_instance.journal(instance)
    assert found["synchronous_set"] is None
    assert "Is a directory" in found["error"]


def test_marker(instance: Instance) -> None:
    assert _observe_instance.marker(instance) is None
    _postgres.write_marker(instance, "73")
    assert _observe_instance.marker(instance) == {"system_identifier": "73", "version": "16"}


CONTROL = """\
pg_control version number:            1300
Database system identifier:           7300000000000000001
Database cluster state:               in archive recovery
pg_control last modified:             Sat 21 Nov 2026 10:00:00 AM UTC
Latest checkpoint location:           0/3000060
Latest checkpoint's TimeLineID:       2
Minimum recovery ending location:     0/4000000
Min recovery ending loc's timeline:   2
max_connections setting:              200
max_worker_processes setting:         32
max_wal_senders setting:              16
max_prepared_xacts setting:           0
max_locks_per_xact setting:           128
Data page checksum version:           1
"""


def test_control(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> None:
    monkeypatch.setattr(_observe_instance, "run", lambda command: CONTROL)
    found = _observe_instance.control(instance)
    assert found == {
        "system_identifier": "7300000000000000001",
        "state": "in archive recovery",
        "checkpoint_lsn": "0/3000060",
        "timeline": 2,
        "minimum_recovery_lsn": "0/4000000",
        "minimum_recovery_timeline": 2,
        "checksums": 1,
        "max_connections": 200,
        "max_worker_processes": 32,
        "max_wal_senders": 16,
        "max_prepared_transactions": 0,
        "max_locks_per_transaction": 128,
    }
    # What a standby has to have replayed before it restarts is read here.
    assert set(STANDBY_MINIMA) <= set(found)


def test_no_control_data(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> None:
    monkeypatch.setattr(_observe_instance, "run", refuse)
    assert _observe_instance.control(instance) is None


LOADED = 1_700_000_000


@pytest.mark.parametrize(
    ("name", "age", "stale"),
    [
        ("etc/conf.d/10-server.conf", 1, True),
        ("etc/conf.d/10-server.conf", 0, False),
        ("etc/pg_hba.conf", 1, True),
        ("ssl/server.key", 1, True),
        ("etc/.pg_hba.conf.steadfast", 1, False),
        ("etc/pg_hba.conf.before-reload", 1, False),
        ("etc/conf.d/10-server.conf.before-restart", 1, False),
    ],
)
def test_files_that_are_newer_than_their_load(
    instance: Instance, tmp_path: Path, name: str, age: int, stale: bool
) -> None:
    (tmp_path / "etc" / "conf.d").mkdir(parents=True)
    (tmp_path / "ssl").mkdir()
    for path in ("etc/pg_ident.conf", "ssl/ca.crt", name):
        (tmp_path / path).touch()
        os.utime(tmp_path / path, (LOADED, LOADED))
    os.utime(tmp_path / name, (LOADED + age, LOADED + age))
    found = _observe_instance.stale(instance, {"conf_loaded_at": float(LOADED), "settings": {}}, tmp_path / "ssl")
    assert found == ([str(tmp_path / name)] if stale else [])


def test_nothing_is_stale_without_a_server(instance: Instance, tmp_path: Path) -> None:
    make(tmp_path / "etc", pg_hba="")
    assert _observe_instance.stale(instance, None, tmp_path) == []


def test_nothing_is_stale_where_there_are_no_files(instance: Instance, tmp_path: Path) -> None:
    assert _observe_instance.stale(instance, {"conf_loaded_at": 0.0, "settings": {}}, tmp_path / "ssl") == []


def test_a_file_that_was_removed_is_still_in_force(instance: Instance, tmp_path: Path) -> None:
    there, gone = tmp_path / "there.conf", tmp_path / "gone.conf"
    there.touch()
    settings = {"jit": {"sourcefile": str(gone)}, "work_mem": {"sourcefile": str(there)}, "port": {"sourcefile": None}}
    answer = {"conf_loaded_at": float(LOADED), "settings": settings}
    assert _observe_instance.stale(instance, answer, tmp_path / "ssl") == [str(gone)]


# The server.

MIB = 1 << 20
HISTORY = "1\t0/5000000\tno recovery target specified\n\n2\t0/7A000028\tbefore 2026-11-21\n"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> dict[str, Any]:
    """Let a server answer, and its WAL directory hold what is usual."""
    status = instance.data_directory / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    made = {"timeline": 3, "in_recovery": False, "lsn": "0/5000000", "segment_bytes": 16 * MIB}
    made |= {"archiver": {}, "pending": {}, "started_at": 10.5, "data_directory": str(instance.data_directory)}
    monkeypatch.setattr(_observe_instance, "owner_exists", lambda: True)
    monkeypatch.setattr(_observe_instance, "observe_json", lambda instance, sql: made | {"archiver": {}, "sql": sql})
    return made


def test_server(answers: dict[str, Any], instance: Instance) -> None:
    wal = instance.data_directory / "pg_wal"
    (wal / "00000003.history").write_text(HISTORY)
    for name in ("000000030000000000000001.ready", "000000030000000000000002.ready", "00000003.history.done"):
        (wal / "archive_status" / name).touch()
    found, error = _observe_instance.server(instance)
    assert error is None
    assert found
    assert found
    assert found
    assert found["sql"] == _observe_sql.OBSERVE
    assert found["history"] == [{"timeline": 1, "switch_lsn": "0/5000000"}, {"timeline": 2, "switch_lsn": "0/7A000028"}]
    assert found["archiver"] == {"waiting": 2}


@pytest.mark.parametrize(
    ("name", "age", "waits"),
    [
        ("etc/environment", 1, True),
        ("etc/environment", 0, False),
        ("etc/pg_ctl.conf", 1, True),
        ("etc/start.conf", 1, False),
        ("unit.d/steadfast.conf", 1, True),
        ("unit.d/limits.conf", 1, True),
        ("unit.d/steadfast.conf.before-restart", 1, False),
    ],
)
def test_files_that_only_a_start_reads(
    answers: dict[str, Any],
    instance: Instance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    age: int,
    waits: bool,
) -> None:
    monkeypatch.setattr(Instance, "drop_ins", tmp_path / "unit.d")
    answers |= {"started_at": float(LOADED), "pending": {"port": {"running": "1", "configured": "2"}}}
    path = tmp_path / name
    path.parent.mkdir()
    path.touch()
    os.utime(path, (LOADED + age, LOADED + age))
    server = _observe_instance.server(instance)[0]
    assert server
    found = server["pending"]
    new = {str(path): {"running": "as it was", "configured": "the new file"}}
    assert found == {"port": {"running": "1", "configured": "2"}, **(new if waits else {})}


def test_libraries(instance: Instance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("pg_stat_statements.so", "auto_explain.so", "pgxs", "libpq.so.5"):
        (tmp_path / name).touch()
    monkeypatch.setattr(_observe_instance, "run", lambda command: f"{tmp_path}\n")
    expected = {"directory": str(tmp_path), "names": ["auto_explain", "pg_stat_statements"]}
    assert _observe_instance.libraries(instance) == expected
    monkeypatch.setattr(_observe_instance, "run", refuse)
    assert _observe_instance.libraries(instance) is None


def test_a_server_of_another_directory_is_not_ours(answers: dict[str, Any], instance: Instance) -> None:
    answers["data_directory"] = "/srv/other"
    assert _observe_instance.server(instance) == (None, "the server on port 5432 runs from /srv/other")


@pytest.mark.parametrize(
    ("port", "answer", "expected"),
    [
        pytest.param(5432, CommandError("no answer"), None, id="it runs here and does not answer"),
        pytest.param(None, CommandError("no answer"), None, id="none runs"),
        pytest.param(5433, "", {"port": 5433, "wanted_port": 5432}, id="another port"),
        pytest.param(
            None, "/srv/other\n", {"port": 5432, "wanted_port": 5432, "directory": "/srv/other"}, id="another directory"
        ),
    ],
)
def test_a_server_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
    instance: Instance,
    port: int | None,
    answer: str | CommandError,
    expected: dict[str, Any] | None,
) -> None:
    def query(asked: Instance, sql: str) -> str:
        if isinstance(answer, CommandError):
            raise answer
        return answer

    monkeypatch.setattr(_observe_instance, "owner_exists", lambda: True)
    monkeypatch.setattr(_observe_instance, "query", query)
    instance.data_directory.mkdir(parents=True, exist_ok=True)
    if port:
        lines = [os.getpid(), instance.data_directory, 1_700_000_000, port, "/var/run/postgresql"]
        (instance.data_directory / "postmaster.pid").write_text("\n".join(map(str, lines)))
    found = _observe_instance.elsewhere(instance)
    assert found == (expected and {"directory": str(instance.data_directory)} | expected)


def test_a_first_timeline_has_no_history(answers: dict[str, Any], instance: Instance) -> None:
    answers["timeline"] = 1
    found, _ = _observe_instance.server(instance)
    assert found
    assert found["history"] == []


@pytest.mark.parametrize(
    ("recovery", "files", "timeline"),
    [
        pytest.param(True, [], 1, id="no files"),
        pytest.param(True, ["000000020000000000000004"], 2, id="replayed from a later timeline"),
        pytest.param(True, ["000000020000000000000005"], 2, id="the segment that is replayed"),
        pytest.param(True, ["000000020000000000000006"], 1, id="a file made ahead"),
        pytest.param(True, ["000000020000000100000000"], 1, id="far ahead"),
        pytest.param(True, ["00000002.history", "000000020000000000000004.partial"], 1, id="other files"),
        pytest.param(False, ["000000020000000000000004"], 1, id="a primary knows"),
    ],
)
def test_timeline_of_a_standby(
    answers: dict[str, Any], instance: Instance, recovery: bool, files: list[str], timeline: int
) -> None:
    answers |= {"timeline": 1, "in_recovery": recovery, "lsn": "0/5000060"}
    for name in files:
        (instance.data_directory / "pg_wal" / name).touch()
    found, _ = _observe_instance.server(instance)
    assert found
    assert found["timeline"] == timeline


def test_a_server_that_does_not_answer(
    answers: dict[str, Any], instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_observe_instance, "observe_json", refuse)
    assert _observe_instance.server(instance) == (None, "it is not there")


def test_no_server_is_asked_before_its_package_is_there(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_observe_instance, "owner_exists", lambda: False)
    monkeypatch.setattr(_observe_instance, "observe_json", lambda *given: pytest.fail("asked"))
    assert _observe_instance.server(instance) == (None, None)


def test_the_statement_reads_what_restarts_depend_on() -> None:
    """They are always there, whether a file sets them or not."""
    always = re.search(r"OR name IN \((.*?)\)\)", _observe_sql.OBSERVE, re.DOTALL)
    assert always
    assert set(STANDBY_MINIMA) | {"synchronous_standby_names"} <= set(re.findall(r"'(\w+)'", always[1]))


def test_slots_on_the_disk(instance: Instance) -> None:
    for name in ("db2", "db1"):
        (instance.data_directory / "pg_replslot" / name).mkdir(parents=True)
    assert _observe_instance.data(instance)["slots"] == ["db1", "db2"]
