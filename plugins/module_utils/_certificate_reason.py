# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a member's certificate must be issued or installed: pure, from what its host was seen to hold."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_facts

DAY = 86400
OWNER = "root"
KEY_MODE = 0o640
# Issuing backdates a certificate by minutes, so its own lifetime is a little longer than the variable.
TOLERANCE = DAY


@dataclass(frozen=True)
class Reason:
    """Why a host's files must change, and whether that takes a new signature of the cluster's CA."""

    sign: bool
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Give it as the data that tasks hand over."""
        return asdict(self)


@dataclass(frozen=True)
class Anchor:
    """The cluster's CA as the controller holds it: who signs, and every certificate that members trust, in order."""

    key_id: str
    fingerprints: tuple[str, ...]
    not_after: float


@dataclass(frozen=True)
class Policy:
    """What a member's certificate must be; the group is the one that may read its key."""

    common_name: str
    names: tuple[str, ...]
    lifetime_days: int
    group: str


@dataclass(frozen=True)
class Provided:
    """Fingerprints of the user's own certificate, of the chain behind it and of its CA file."""

    fingerprint: str
    chain: tuple[str, ...]
    authority: tuple[str, ...]


def names_of(common_name: str, names: Iterable[Any]) -> tuple[str, ...]:
    """List a member's names and addresses, its inventory name first, each once, without the empty ones."""
    given = (common_name, *(str(name) for name in names if name))
    return tuple(dict.fromkeys(_certificate_facts.normalised(name) for name in given))


def wanted(facts: Mapping[str, Any] | None, policy: Policy, anchor: Anchor | None, now: float) -> Reason | None:
    """Say why a certificate of the cluster's CA must be issued or its files mended; None when all is well.

    Without an anchor - the controller holds no CA - what would compare with it is taken as it stands.
    """
    if facts is None:
        return Reason(sign=True, text="it has no certificate")
    signing = [
        *_mismatches(facts, policy),
        *_lifetime(facts, policy, anchor, now),
        *_signature(facts, anchor),
    ]
    if signing:
        return Reason(sign=True, text="; ".join(signing))
    mending = [*_trust(facts, anchor), *_permissions(facts, policy)]
    return Reason(sign=False, text="; ".join(mending)) if mending else None


def wanted_provided(facts: Mapping[str, Any] | None, provided: Provided, group: str) -> Reason | None:
    """Say why the user's own certificate must be installed; None when the host holds it."""
    if facts is None:
        return Reason(sign=False, text="it has no certificate")
    texts = []
    if (facts["fingerprint"], tuple(facts["chain_fingerprints"])) != (provided.fingerprint, provided.chain):
        texts.append("the provided certificate is another")
    if tuple(facts["ca_fingerprints"]) != provided.authority:
        texts.append("the provided CA file is another")
    if not facts["key_matches"]:
        texts.append("its key does not match its certificate")
    texts += _permissions(facts, Policy("", (), 0, group))
    return Reason(sign=False, text="; ".join(texts)) if texts else None


def key_permissions(group: str) -> str:
    """Give owner, group and mode that a member's key must have, as the facts write them."""
    return f"{OWNER}:{group} {KEY_MODE:04o}"


def day(moment: float) -> str:
    """Write a moment as its date in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def _mismatches(facts: Mapping[str, Any], policy: Policy) -> list[str]:
    texts = []
    if facts["cn"] != policy.common_name:
        texts.append(f"its common name is {facts['cn']!r}, not {policy.common_name!r}")
    held = {_certificate_facts.normalised(name) for name in facts["names"]}
    missing = [name for name in names_of(policy.common_name, policy.names) if name not in held]
    if missing:
        texts.append(f"it lacks {_listed(missing)}")
    if not facts["key_matches"]:
        texts.append("its key is missing or does not match its certificate")
    return texts


def _lifetime(facts: Mapping[str, Any], policy: Policy, anchor: Anchor | None, now: float) -> list[str]:
    left, whole = facts["not_after"] - now, facts["not_after"] - facts["not_before"]
    if left <= 0:
        return [f"it expired on {day(facts['not_after'])}"]
    if facts["not_before"] > now:
        return [f"it is not valid before {day(facts['not_before'])}"]
    if whole > policy.lifetime_days * DAY + TOLERANCE:
        return [f"it is valid for {whole // DAY:.0f} days, more than {policy.lifetime_days}"]
    # A certificate never outlives its CA: one that already lasts as long gains nothing by a renewal.
    at_end_of_anchor = anchor is not None and facts["not_after"] >= anchor.not_after
    if left < whole / 3 and not at_end_of_anchor:
        return [f"{left // DAY:.0f} of its {whole // DAY:.0f} days are left"]
    return []


def _signature(facts: Mapping[str, Any], anchor: Anchor | None) -> list[str]:
    if anchor is not None and facts["issuer_key_id"] != anchor.key_id:
        return [f"its issuer {facts['issuer']!r} is not the present CA"]
    # With another ca.crt than the controller's, installing that one comes first.
    known = anchor is None or _trusted(facts) == anchor.fingerprints
    return ["its CA did not sign it"] if known and not facts["ca_signed"] else []


def _trust(facts: Mapping[str, Any], anchor: Anchor | None) -> list[str]:
    differs = anchor is not None and _trusted(facts) != anchor.fingerprints
    return [f"its {_certificate_facts.AUTHORITY} is another than the controller's"] if differs else []


def _trusted(facts: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(facts["ca_fingerprints"]))


def _permissions(facts: Mapping[str, Any], policy: Policy) -> list[str]:
    held, needed = facts["key_permissions"], key_permissions(policy.group)
    return [] if held in (None, needed) else [f"its key is {held}, not {needed}"]


def _listed(names: Sequence[str]) -> str:
    return "the name " + names[0] if len(names) == 1 else "the names " + ", ".join(names)
