"""The spare host of the scenarios as a cluster of its own."""

from __future__ import annotations

from typing import Any

import yaml
from lab import STATE, Lab


class Solo(Lab):
    """The spare host as the only one of an inventory."""

    def declare(self, *groups: str, **variables: Any) -> None:
        """Write the inventory anew, with the host in other groups than that of database hosts, too."""
        named = {group: {"hosts": {"solo1": None}} for group in groups}
        hosts = {"solo1": self.reached() | variables}
        self.inventory.write_text(yaml.safe_dump(named | {"postgresql": {"hosts": hosts}}))

    @staticmethod
    def reached() -> dict[str, Any]:
        """Return how the host is reached, and what every cluster needs."""
        secrets = yaml.safe_load((STATE / "secrets.yml").read_text())
        return {
            "ansible_host": "10.89.20.15",
            "ansible_user": "ops",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_args": f"-F {STATE / 'ssh_config'}",
            "postgresql_server_memory": "1GB",
            "postgresql_certificates_ca_passphrase": secrets["ca_passphrase"],
        }
