"""An application of any size, for what is said about size."""

from __future__ import annotations

from typing import Any


def big(accounts: int, name: str = "big", schemas: int = 40, each: int = 11) -> dict[str, Any]:
    """Return an application whose accounts are members of so many group roles each; a schema has two of them."""
    return {
        "name": name,
        "migrator": {"password": f"the migrator of {name}"},
        "pool": {"size": 3},
        "schemas": [{"name": f"{name}_{number}"} for number in range(schemas)],
        "accounts": [
            {
                "name": f"{name}_account_{number}",
                "password": f"the account {number} of {name}",
                "member_of": [f"{name}_{(number + step) % schemas}_rw" for step in range(each)],
                "connection_limit": 5,
            }
            for number in range(accounts)
        ],
    }
