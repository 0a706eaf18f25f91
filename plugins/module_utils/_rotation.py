# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates are replaced in what order, by what the CA directory says and every member holds: pure.

A CA is replaced in three steps, each a run of its own: every member trusts the new one beside the old one; every
member gets a certificate of the new one; the old one is trusted no more. Between the first two clients get the CA file
that holds both. So no connection ever meets a certificate that it does not trust, in whatever order the members get
theirs, and wherever a run is killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils._authority import (
    SETTLED,
    SIGNING,
    Known,
    State,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE
from ansible_collections.steadfast.postgresql.plugins.module_utils._picture import listed

LEAF, CA, SIGN, RETIRE = "leaf", "ca", "sign_ca", "retire_ca"
SCOPES = (LEAF, CA, SIGN, RETIRE)
# How a server is asked that speaks its own protocol before TLS.
POSTGRES = "postgres"
DAY = 86400
WARNING_DAYS = 180

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What the operator asks for.

    Attributes:
        scope: one of SCOPES.
        confirm: what was given as confirm.
        cluster: name of the cluster.
        directory: of the CA, on the controller.
        obstacle: why nothing can be signed on this controller; empty when it can.
    """

    scope: str
    confirm: str
    cluster: str
    directory: str
    obstacle: str = ""


@dataclass(frozen=True)
class Holder:
    """A member, as far as it was seen.

    Attributes:
        name: inventory name.
        is_database: whether it is a database host.
        is_seen: whether the run reaches it.
        answers: whether its server answers.
        is_provided: whether its certificate is the user's own.
        trusted: fingerprints of the CAs that it trusts.
        issuer: name and key identifier of the CA that signed its certificate; empty without one.
        is_late: whether its server has not read the files that it holds.
    """

    name: str
    is_database: bool
    is_seen: bool = True
    answers: bool = True
    is_provided: bool = False
    trusted: frozenset[str] = frozenset()
    issuer: tuple[str, str] = ("", "")
    is_late: bool = False

    @classmethod
    def of(cls, member: Json, seen: Json | None, provided: bool, directory: str) -> Holder:
        """Read what instance_info saw of a member; its certificates lie in a directory."""
        facts = (seen or {}).get("certificates") or {}
        stale = (seen or {}).get("stale") or []
        return cls(
            name=member["name"],
            is_database=DATABASE in member["duties"],
            is_seen=seen is not None,
            answers=bool((seen or {}).get("server")),
            is_provided=provided,
            trusted=frozenset(facts.get("ca_fingerprints", ())),
            issuer=(facts.get("issuer", ""), facts.get("issuer_key_id") or ""),
            is_late=any(path.startswith(f"{directory}/") for path in stale),
        )


@dataclass(frozen=True)
class Plan:
    """What is done, in this order.

    Attributes:
        refusals: why nothing is done.
        prepare: the next CA is made.
        promote: the next CA signs from now on.
        retire: the former CAs are taken out of what members trust.
        trust: members that get another ca.crt, or have not read theirs.
        sign: members that get another certificate, or have not read theirs.
        says: what is so of the CA once all members have followed; empty when it stays as it is.
        lines: the same in words, for the operator.
    """

    refusals: tuple[str, ...] = ()
    prepare: bool = False
    promote: bool = False
    retire: bool = False
    trust: tuple[str, ...] = ()
    sign: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def plan(request: Request, state: State | None, holders: Sequence[Holder]) -> Plan:
    """Return what is done.

    Args:
        request: what is asked for.
        state: what the CA directory says; None without a CA.
        holders: all members of the cluster.
    """
    refusals = tuple(_refusals(request, state, holders))
    if refusals or state is None:
        return Plan(refusals)
    if request.scope == LEAF:
        names = tuple(holder.name for holder in holders if holder.is_seen)
        return Plan(sign=names, lines=(f"New certificates of {state.signer.name} for {listed(names)}.",))
    steps = {CA: _introduction, SIGN: _succession, RETIRE: _retirement}
    return steps[request.scope](request, state, holders)


def readers_of(readers: Sequence[Json], duties: Sequence[str], answers: bool) -> list[Json]:
    """Return which services of a host have to read its files again; a database server that is down will do so."""
    here = [reader for reader in readers if set(reader["duties"]) & set(duties)]
    return [reader for reader in here if answers or set(reader["duties"]) != {DATABASE}]


def findings(state: State | None, now: float) -> Iterator[tuple[str, str]]:
    """Yield what an operator should know about the CA, each with what to do."""
    if state is None:
        return
    days = (state.signer.not_after - now) / DAY
    if state.coming is not None:
        yield (
            f"The CA is being replaced: {state.coming.name} is made and does not sign yet.",
            "Once all clients have the new ca.crt, run rotate_certificates with -e scope=sign_ca.",
        )
    elif state.stage == SIGNING:
        yield (
            f"The CA was replaced: {state.signer.name} signs, and {_former(state)} is still trusted.",
            "Run rotate_certificates with -e scope=retire_ca.",
        )
    elif days < WARNING_DAYS:
        yield (
            f"The CA {state.signer.name} expires in {days:.0f} days, and no certificate outlives it.",
            "Run rotate_certificates with -e scope=ca, early enough for all clients to get the new ca.crt.",
        )


def _introduction(request: Request, state: State, holders: Sequence[Holder]) -> Plan:
    name = state.next_name(request.cluster)
    ready = state.coming is not None and state.coming in state.trusted
    trust = tuple(holder.name for holder in holders if not ready or _differs(holder, state.trusted) or holder.is_late)
    others = [known.name for known in state.trusted if known != state.coming]
    lines = [
        f"{name} is made already." if state.coming else f"{name} is made.",
        f"{listed(trust) if trust else 'All members'} trust it beside {listed(others)}.",
        f"It does not sign yet: give {request.directory}/ca.crt to all clients, then run rotate_certificates with "
        "-e scope=sign_ca.",
    ]
    return Plan(prepare=not ready, trust=trust, says=_says(others[0], [*others[1:], name]), lines=tuple(lines))


def _succession(request: Request, state: State, holders: Sequence[Holder]) -> Plan:
    name = state.next_name(request.cluster) if state.coming else state.signer.name
    key = state.coming.key_id if state.coming else state.signer.key_id
    sign = tuple(holder.name for holder in holders if holder.issuer[1] != key or holder.is_late)
    others = [known.name for known in state.trusted if known.name != name]
    lines = [
        f"{listed(sign)} get certificates of {name}." if sign else f"All members have certificates of {name}.",
        f"{listed(others)} stays trusted until rotate_certificates runs with -e scope=retire_ca.",
    ]
    # Where it signs already, a run that was killed may have left its key where it was made.
    return Plan(promote=True, sign=sign, says=_says(name, others), lines=tuple(lines))


def _retirement(_request: Request, state: State, holders: Sequence[Holder]) -> Plan:
    gone = [known.name for known in state.trusted if known not in state.kept]
    trust = tuple(holder.name for holder in holders if _differs(holder, state.kept) or holder.is_late)
    lines = [f"{listed(gone)} leaves {listed(trust)}."] if gone and trust else []
    lines += [f"{listed(trust)} trust {listed(known.name for known in state.kept)} alone."] if trust else []
    says = _says(state.signer.name, [known.name for known in state.kept[1:]])
    return Plan(retire=bool(gone), trust=trust, says=says, lines=tuple(lines))


def _refusals(request: Request, state: State | None, holders: Sequence[Holder]) -> Iterator[str]:
    if request.scope not in SCOPES:
        yield f"scope: {request.scope!r} is none of {', '.join(SCOPES)}; leave it out for {LEAF}."
        return
    provided = [holder.name for holder in holders if holder.is_provided]
    if provided:
        yield (
            f"postgresql_certificates_provided: the certificates of {listed(provided)} are your own, and this playbook "
            "replaces those of the cluster's CA. Put the new files where the variable says and run site.yml, which "
            "installs them; for another CA of your own first let the file ca hold both."
        )
        return
    if state is None:
        yield f"There is no CA in {request.directory}; site.yml makes one and issues certificates."
        return
    if request.obstacle and request.scope != RETIRE:
        yield request.obstacle
    if request.scope == LEAF:
        return
    yield from _of_members(holders)
    yield from {CA: _of_introduction, SIGN: _of_succession, RETIRE: _of_retirement}[request.scope](state, holders)
    if request.confirm != request.cluster:
        yield f"{_consequence(request, state)} To go on, write -e confirm={request.cluster}"


def _of_members(holders: Sequence[Holder]) -> Iterator[str]:
    """A member that does not follow would trust nobody afterwards, or be trusted by nobody."""
    for holder in holders:
        if not holder.is_seen:
            yield (
                f"{holder.name} was not observed (unreachable, or outside --limit), and every member has to follow a "
                "change of the CA: bring it back, or take it out of the inventory."
            )
        elif holder.is_database and not holder.answers:
            yield (
                f"The server on {holder.name} does not answer, so it cannot show which CAs it trusts: run site.yml, or "
                "take the host out of the inventory."
            )


def _of_introduction(state: State, _holders: Sequence[Holder]) -> Iterator[str]:
    if state.stage == SIGNING:
        yield f"{_former(state)} is not retired yet: run rotate_certificates with -e scope=retire_ca first."


def _of_succession(state: State, holders: Sequence[Holder]) -> Iterator[str]:
    if state.stage == SETTLED:
        yield "No CA waits to sign: rotate_certificates with -e scope=ca makes one."
    elif state.coming:
        knows = state.coming.fingerprint
        behind = [it.name for it in holders if it.is_seen and (it.is_late or knows not in it.trusted)]
        if behind:
            yield (
                f"{listed(behind)} would not trust what {state.coming.name} signs: run "
                "rotate_certificates with -e scope=ca again first."
            )


def _of_retirement(state: State, holders: Sequence[Holder]) -> Iterator[str]:
    if state.coming:
        yield f"{state.coming.name} does not sign yet: run rotate_certificates with -e scope=sign_ca first."
    elif state.stage == SETTLED and not state.former:
        yield "No CA waits to be retired: rotate_certificates with -e scope=ca is the first step to replace one."
    else:
        for holder in holders:
            if holder.is_seen and holder.issuer[1] != state.signer.key_id:
                yield (
                    f"The certificate of {holder.name} is one of {holder.issuer[0] or 'no CA'}: "
                    "run rotate_certificates with -e scope=sign_ca first."
                )


def _consequence(request: Request, state: State) -> str:
    if request.scope == CA:
        return f"Another CA is made for {request.cluster}, and all members trust it beside the present one."
    if request.scope == SIGN:
        return (
            f"From then on clients that trust {state.signer.name} alone cannot connect: they need "
            f"{request.directory}/ca.crt before, which holds both CAs."
        )
    gone = _former(state) or "the former CA"
    return f"From then on a certificate of {gone} is worth nothing, neither a member's nor a client's."


def _former(state: State) -> str:
    return ", ".join(known.name for known in state.trusted if known not in state.kept)


def _says(signer: str, others: Sequence[str]) -> tuple[str, ...]:
    return (f"{signer} signs", *(f"{name} is trusted" for name in others))


def _differs(holder: Holder, trusted: Sequence[Known]) -> bool:
    return holder.trusted != {known.fingerprint for known in trusted}
