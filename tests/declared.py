"""What the inventory of the scenarios declares."""

from __future__ import annotations

from typing import Any

import yaml
from lab import INVENTORY


def declared() -> list[dict[str, Any]]:
    """Return the applications as they are written, secrets as templates."""
    path = INVENTORY / "group_vars" / "main" / "applications.yml"
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text())["postgresql_applications"]
    return found


def addresses() -> dict[str, str]:
    """Return where the database hosts are."""
    inventory = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
    hosts: dict[str, dict[str, str]] = inventory["main"]["children"]["postgresql"]["hosts"]
    return {name: host["ansible_host"] for name, host in hosts.items()}
