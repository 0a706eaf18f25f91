"""What the tests of backups share: what the repositories hold, and what the role's script says of it."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import yaml
from lab import INVENTORY

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab

CHECK = "/usr/local/lib/steadfast/check_archive {} /etc/pgbackrest/steadfast.json"
LOCAL = "/srv/pgbackrest/main/local"
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE $$%.ready$$"
RIGHT = "nothing is wrong"


def pgbackrest(lab: Lab, arguments: str) -> str:
    """Run pgBackRest on the repository host, as its user."""
    return lab.shell("ops1", f"cd / && runuser -u pgbackrest -- pgbackrest --stanza=main {arguments}")


def info(lab: Lab) -> dict[str, Any]:
    """Return pgBackRest's own list of what it holds."""
    found: dict[str, Any] = json.loads(pgbackrest(lab, "--output=json info"))[0]
    return found


def fulls(lab: Lab, repository: int) -> list[str]:
    """Return the full backups that a repository holds, the oldest first."""
    backups = [item for item in info(lab)["backup"] if item["database"]["repo-key"] == repository]
    return [item["label"] for item in backups if item["type"] == "full"]


def forget(lab: Lab, repository: int) -> None:
    """Expire what a repository holds from before its newest full backup."""
    for label in fulls(lab, repository)[:-1]:
        pgbackrest(lab, f"--repo={repository} --set={label} expire")


def declared() -> list[dict[str, Any]]:
    """Return the repositories of the inventory, secrets as templates."""
    given = yaml.safe_load((INVENTORY / "group_vars" / "main" / "backup.yml").read_text())
    found: list[dict[str, Any]] = given["postgresql_backup_repositories"]
    return found


def one_more(**different: str) -> dict[str, Any]:
    """Return a repository like the first one, with a passphrase of its own."""
    return declared()[0] | {"passphrase": secrets.token_hex(20)} | different


def variables(path: Path, repositories: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the arguments that give these repositories to a playbook; the file holds secrets."""
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump({"postgresql_backup_repositories": repositories}))
    return "-e", f"@{path}"


def findings(lab: Lab, host: str, duty: str) -> str:
    """Return what the role's script says on a host."""
    user = "pgbackrest" if host == "ops1" else "postgres"
    return lab.shell(host, f"cd / && runuser -u {user} -- {CHECK.format(duty)}", check=False)


def archived(lab: Lab, host: str = "db1") -> None:
    """Fill another segment, and wait until none waits on the primary."""
    lab.sql(host, "SELECT pg_logical_emit_message(true, $$test$$, $$archived$$); SELECT pg_switch_wal()")
    lab.wait(lambda: lab.sql(host, WAITING) == "0", 120)
