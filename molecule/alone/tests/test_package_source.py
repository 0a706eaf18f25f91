"""Packages of the PostgreSQL project: the source and the key of Debian's own package, on a host that has both."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spare import Solo

SOURCE = "/etc/apt/sources.list.d/steadfast-postgresql.list"
KEY = "/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc"
LINE = f"deb [signed-by={KEY}] https://apt.postgresql.org/pub/repos/apt trixie-pgdg main"
REFUSED = f"solo1: {KEY} holds no single key (the text is not one whole block), where the PostgreSQL project's key "


def test_from_the_distribution_to_the_project(solo: Solo) -> None:
    solo.declare(postgresql_version="17", postgresql_server_package_source="distribution")
    solo.playbook("site.yml")
    solo.declare(postgresql_version="17", postgresql_server_package_source="pgdg")

    # A second key in the file would be trusted as well.
    solo.shell("solo1", f"cp {KEY} /root/key && cat /root/key /root/key > {KEY}")
    refused = solo.playbook("site.yml", expect=None)
    assert refused.status != 0
    assert REFUSED in refused.output
    assert solo.shell("solo1", f"ls {SOURCE}", check=False) == ""

    solo.shell("solo1", f"cp /root/key {KEY}")
    predicted = solo.playbook("site.yml", "--check", "--diff")
    assert f"+{LINE}" in predicted.output
    assert solo.shell("solo1", f"ls {SOURCE}", check=False) == ""
    done = solo.playbook("site.yml")
    assert f"file {SOURCE}" in [change.split(": ")[1] for change in done.changes]
    assert done.changes == predicted.changes
    assert solo.shell("solo1", f"tail -1 {SOURCE}") == LINE
    assert solo.playbook("site.yml").changed == {"solo1": 0}
