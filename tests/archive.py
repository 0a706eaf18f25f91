"""What the tests of backups share: what the repositories hold, and what the role's script says of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import Lab

CHECK = "/usr/local/lib/steadfast/check_archive {} /etc/pgbackrest/steadfast.json"
LOCAL = "/srv/pgbackrest/main/local"
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE $$%.ready$$"
RIGHT = "nothing is wrong"


def info(lab: Lab) -> dict[str, Any]:
    """Return pgBackRest's own list of what it holds."""
    text = lab.shell("ops1", "cd / && runuser -u pgbackrest -- pgbackrest --stanza=main --output=json info")
    found: dict[str, Any] = json.loads(text)[0]
    return found


def fulls(lab: Lab, repository: int) -> int:
    """Return how many full backups a repository holds."""
    backups = info(lab)["backup"]
    return sum(item["type"] == "full" and item["database"]["repo-key"] == repository for item in backups)


def forget(lab: Lab, repository: int) -> None:
    """Expire what a repository holds from before its newest full backup."""
    mine = [item for item in info(lab)["backup"] if item["database"]["repo-key"] == repository]
    old = [item["label"] for item in mine if item["type"] == "full"][:-1]
    expire = f"cd / && runuser -u pgbackrest -- pgbackrest --stanza=main --repo={repository} --set={{}} expire"
    for label in old:
        lab.shell("ops1", expire.format(label))


def findings(lab: Lab, host: str, duty: str) -> str:
    """Return what the role's script says on a host."""
    user = "pgbackrest" if host == "ops1" else "postgres"
    return lab.shell(host, f"cd / && runuser -u {user} -- {CHECK.format(duty)}", check=False)


def archived(lab: Lab, host: str = "db1") -> None:
    """Fill another segment, and wait until none waits on the primary."""
    lab.sql(host, "SELECT pg_logical_emit_message(true, $$test$$, $$archived$$); SELECT pg_switch_wal()")
    lab.wait(lambda: lab.sql(host, WAITING) == "0", 120)
