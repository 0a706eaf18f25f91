# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read how a host archives and keeps backups, without changing it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_host
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    read_json,
    run,
    user_exists,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._repositories import NOTHING, sealed_for
from ansible_collections.steadfast.postgresql.plugins.module_utils._seal import seal

Json = Mapping[str, Any]

CONFIGURATION = Path("/etc/pgbackrest")
UNITS = Path("/etc/systemd/system")
SERVICE = "pgbackrest.service"
PATTERNS = (SERVICE, "steadfast-backup-*.timer", "steadfast-check-*.timer", "steadfast-verify-*.timer")
INFO_LIMIT = 8.0  # seconds; an answer takes hundredths, and one that does not come must not hold up a run
FULL = "full"
SCRIPT = Path("/usr/local/lib/steadfast/check_archive")
CHECK_LIMIT = 60.0  # seconds


def backup(
    stanza: str, user: str, repositories: Sequence[int], *, certificates: Path, places: Sequence[Path]
) -> dict[str, Any]:
    """Return what a host has of backups.

    Args:
        stanza: name of the cluster.
        user: who pgBackRest runs as here.
        repositories: on the repository host, numbers; those that its configuration has are looked at.
        certificates: directory of what pgBackRest's server shows to others.
        places: on a database host, the directory that holds the WAL.
    """
    has_user = user_exists(user)
    there = {number: found for number in repositories if (found := written(stanza, number))}
    # Each on its own: one that does not answer says nothing about the others.
    with ThreadPoolExecutor(max_workers=max(1, len(there))) as pool:
        infos = pool.map(lambda number: info(stanza, user, number), there)
        found = {str(number): {**answer, **there[number]} for number, answer in zip(there, infos, strict=True)}
    return {
        "user": has_user,
        "units": units(),
        "stale": stale(certificates),
        "check": read_json(CONFIGURATION / "steadfast.json"),
        "repositories": found,
        "emergency_file": emergency_file(places[0]) if places else None,
    }


def info(stanza: str, user: str, number: int) -> dict[str, Any]:
    """Return what pgBackRest knows of a repository: whether it answers, its stanza, its newest full backup.

    Only what is there is asked for; a repository that is not configured yet holds nothing.
    """
    command = ["pgbackrest", f"--stanza={stanza}", f"--repo={number}", "--output=json", "info"]
    try:
        text = run(["runuser", "-u", user, "--", *command], INFO_LIMIT, cwd="/")
        # Its messages can hold the bytes of a file that it could not decrypt.
        return _info(json.loads(text, strict=False), number)
    except (CommandError, ValueError) as error:
        # 27: no such repository in the configuration, 31 and 37: it lacks an option, so it is still to be written.
        missing = any(f"[{code:03}]" in str(error) for code in (27, 31, 37)) or "No such file" in str(error)
        return {**NOTHING} if missing else {**NOTHING, "answers": False, "error": str(error)}


def written(stanza: str, number: int) -> dict[str, Any]:
    """Return where this host's configuration has a repository, and the seal of its passphrase; nothing without one."""
    files = [CONFIGURATION / "pgbackrest.conf", CONFIGURATION / "conf.d" / "secrets.conf"]
    lines = [line for path in files if path.exists() for line in path.read_text(encoding="utf-8").splitlines()]
    options = dict(line.split("=", 1) for line in lines if line.startswith(f"repo{number}-"))
    if f"repo{number}-path" not in options:
        return {}
    place = [options.get(f"repo{number}-{name}", "") for name in ("path", "s3-bucket", "s3-endpoint")]
    passphrase = options.get(f"repo{number}-cipher-pass", "")
    return {"place": place, "seal": seal(passphrase, sealed_for(stanza, place)) if passphrase else ""}


def _info(answer: Sequence[Json], number: int) -> dict[str, Any]:
    if not answer:
        return {**NOTHING}
    stanza = answer[0]
    repository: Json = next((item for item in stanza.get("repo", []) if item["key"] == number), {})
    status = repository.get("status", {"code": 1, "message": ""})
    # 0: ok, 1: no stanza there, 2: no backup yet, 3: no stanza file
    known = status["code"] in {0, 1, 2, 3}
    fulls = [item for item in stanza.get("backup", []) if item["type"] == FULL and not item["error"]]
    return {
        "answers": known,
        "error": "" if known else _said(str(status["message"])),
        "stanza": status["code"] in {0, 2},
        "systems": [str(item["system-id"]) for item in stanza.get("db", [])],
        "full": max((item["timestamp"]["start"] for item in fulls), default=None),
    }


def _said(message: str) -> str:
    """Return pgBackRest's first line; those after it can repeat what it failed to decrypt."""
    first = message.partition("\n")[0].rstrip(":")
    hint = "it was written with another passphrase, or is damaged" if "unable to load info file" in first else ""
    return f"{first}: {hint}" if hint else first


def units() -> dict[str, dict[str, bool]]:
    """Return the units of backups that stand in systemd's folder: whether each is active and starts with the host."""
    names = sorted(path.name for pattern in PATTERNS for path in UNITS.glob(pattern))
    if not names:
        return {}
    shown = run(["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *names])
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n"))
    return {
        block["Id"]: {"active": block["ActiveState"] == "active", "enabled": block["UnitFileState"] == "enabled"}
        for block in blocks
    }


def stale(certificates: Path) -> list[str]:
    """Return the files that pgBackRest's server reads and that are newer than its last start or reload."""
    try:
        shown = run(["systemctl", "show", "--property=StateChangeTimestamp", "--timestamp=us+utc", "--value", SERVICE])
        since = _observe_host.epoch(shown.strip())
    except (CommandError, ValueError):
        return []
    read = [*CONFIGURATION.glob("*.conf"), *CONFIGURATION.glob("conf.d/*.conf"), UNITS / SERVICE]
    read += [certificates / name for name in ("ca.crt", "server.crt", "server.key")]
    return sorted(str(path) for path in read if path.exists() and path.stat().st_mtime > since)


def findings(user: str, duties: Sequence[str]) -> list[dict[str, str]]:
    """Return what the script of the role finds wrong, name and words; nothing where it is still to be installed.

    Args:
        user: who pgBackRest runs as here.
        duties: what the script looks at.
    """
    if not SCRIPT.exists():
        return []
    return [finding for duty in duties for finding in _findings(user, duty)]


def _findings(user: str, duty: str) -> list[dict[str, str]]:
    command = ["runuser", "-u", user, "--", str(SCRIPT), duty, str(CONFIGURATION / "steadfast.json"), "--json"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=CHECK_LIMIT, cwd="/")
    except subprocess.TimeoutExpired:
        return [{"name": "check_failed", "text": f"the look at the {duty} did not end within {CHECK_LIMIT:.0f} s"}]
    if done.returncode not in {0, 1} or not done.stdout:
        words = " ".join(done.stderr.split())[-300:]
        return [{"name": "check_failed", "text": f"the look at the {duty} failed: {words}"}]
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def emergency_file(directory: Path) -> dict[str, Any]:
    """Return where the file that may be deleted in need lies, and its size.

    It has to be in the file system of the WAL: beside its directory, or inside when that is a mount point.
    """
    inside = directory.exists() and directory.parent.stat().st_dev != directory.stat().st_dev
    path = directory / "steadfast.emergency" if inside else directory.with_name(f"{directory.name}.emergency")
    return {"path": str(path), "bytes": path.stat().st_size if path.exists() else None}
