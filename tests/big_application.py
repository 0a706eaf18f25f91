"""An application of any size, for what is said about size."""

from __future__ import annotations

from typing import Any

GROUPS, EACH = 40, 11


def big(accounts: int, name: str = "big") -> dict[str, Any]:
    """Return an application whose accounts are members of eleven of its eighty group roles each."""
    return {
        "name": name,
        "migrator": {"password": f"the migrator of {name}"},
        "pool": {"size": 3},
        "schemas": [{"name": f"{name}_{number}"} for number in range(GROUPS)],
        "accounts": [
            {
                "name": f"{name}_{number}",
                "password": f"the account {number} of {name}",
                "member_of": [f"{name}_{(number + step) % GROUPS}_rw" for step in range(EACH)],
                "connection_limit": 5,
            }
            for number in range(accounts)
        ],
    }
