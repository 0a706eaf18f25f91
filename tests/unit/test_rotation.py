# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates are replaced in what order, and when none is."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _rotation
from ansible_collections.steadfast.postgresql.plugins.module_utils._authority import Known, State
from ansible_collections.steadfast.postgresql.plugins.module_utils._rotation import Holder, Plan, Request

DAY = 86400
NOW = 1_790_000_000.0
OLD = Known("main PostgreSQL CA", "f1", "k1", NOW + 300 * DAY)
NEW = Known("main PostgreSQL CA 2", "f2", "k2", NOW + 3000 * DAY)
FRIEND = Known("a friend", "f9", "k9", NOW + 3000 * DAY)

SETTLED = State((OLD,))
MADE = State((OLD,), NEW)
TRUSTING = State((OLD, NEW), NEW)
SIGNING = State((NEW, OLD), None, frozenset({"f1"}))
RETIRED = State((NEW,), None, frozenset({"f1"}))
BEFORE, BOTH, AFTER = frozenset({"f1"}), frozenset({"f1", "f2"}), frozenset({"f2"})
OLD_ISSUER, NEW_ISSUER = ("main PostgreSQL CA", "k1"), ("main PostgreSQL CA 2", "k2")

EVERYBODY = ("db1", "db2", "ops1")
SAYS_OLD = ("main PostgreSQL CA signs", "main PostgreSQL CA 2 is trusted")
SAYS_NEW = ("main PostgreSQL CA 2 signs", "main PostgreSQL CA is trusted")
SAYS_RETIRED = ("main PostgreSQL CA 2 signs",)
NEXT = ("main PostgreSQL CA 2 signs", "main PostgreSQL CA 3 is trusted")


def holders(trusted: frozenset[str], issuer: tuple[str, str], **changes: dict[str, Any]) -> list[Holder]:
    whole = [
        Holder("db1", True, trusted=trusted, issuer=issuer),
        Holder("db2", True, trusted=trusted, issuer=issuer),
        Holder("ops1", False, answers=False, trusted=trusted, issuer=issuer),
    ]
    return [replace(holder, **changes.get(holder.name, {})) for holder in whole]


def request(scope: str = "ca", confirm: str = "main", obstacle: str = "") -> Request:
    return Request(scope, confirm, "main", "/ca", obstacle)


def planned(given: Request, state: State | None, members: list[Holder]) -> dict[str, Any]:
    """The plan without what is empty, and without its words."""
    found = _rotation.plan(given, state, members)
    empty = asdict(Plan())
    return {key: value for key, value in asdict(found).items() if value != empty[key] and key != "lines"}


PREPARED = {"prepare": True, "trust": EVERYBODY, "says": SAYS_OLD}
SIGNED = {"promote": True, "says": SAYS_NEW}
SIGN, RETIRE = request("sign_ca"), request("retire_ca")


@pytest.mark.parametrize(
    ("given", "state", "members", "expected"),
    [
        pytest.param(request("leaf", ""), SETTLED, holders(BEFORE, OLD_ISSUER), {"sign": EVERYBODY}, id="leaf"),
        pytest.param(
            request("leaf", ""),
            SIGNING,
            holders(BOTH, NEW_ISSUER, db2={"is_seen": False}),
            {"sign": ("db1", "ops1")},
            id="leaf of some",
        ),
        pytest.param(request(), SETTLED, holders(BEFORE, OLD_ISSUER), PREPARED, id="a new CA"),
        pytest.param(request(), MADE, holders(BEFORE, OLD_ISSUER), PREPARED, id="killed when it was made"),
        pytest.param(request(), RETIRED, holders(AFTER, NEW_ISSUER), PREPARED | {"says": NEXT}, id="another new CA"),
        pytest.param(
            request(),
            TRUSTING,
            holders(BOTH, OLD_ISSUER, db2={"trusted": BEFORE}),
            {"trust": ("db2",), "says": SAYS_OLD},
            id="killed before all trusted it",
        ),
        pytest.param(
            request(),
            TRUSTING,
            holders(BOTH, OLD_ISSUER, db1={"is_late": True}),
            {"trust": ("db1",), "says": SAYS_OLD},
            id="killed before a reload",
        ),
        pytest.param(request(), TRUSTING, holders(BOTH, OLD_ISSUER), {"says": SAYS_OLD}, id="all trust it"),
        pytest.param(SIGN, TRUSTING, holders(BOTH, OLD_ISSUER), SIGNED | {"sign": EVERYBODY}, id="sign"),
        pytest.param(
            SIGN,
            SIGNING,
            holders(BOTH, NEW_ISSUER, db2={"issuer": OLD_ISSUER}, db1={"is_late": True}),
            SIGNED | {"sign": ("db1", "db2")},
            id="killed before all had certificates",
        ),
        pytest.param(SIGN, SIGNING, holders(BOTH, NEW_ISSUER), SIGNED, id="all have certificates"),
        pytest.param(
            RETIRE,
            SIGNING,
            holders(BOTH, NEW_ISSUER),
            {"retire": True, "trust": EVERYBODY, "says": SAYS_RETIRED},
            id="retire",
        ),
        pytest.param(
            RETIRE,
            RETIRED,
            holders(AFTER, NEW_ISSUER, db2={"trusted": BOTH}, ops1={"is_late": True}),
            {"trust": ("db2", "ops1"), "says": SAYS_RETIRED},
            id="killed before all were told",
        ),
        pytest.param(RETIRE, RETIRED, holders(AFTER, NEW_ISSUER), {"says": SAYS_RETIRED}, id="retired"),
        pytest.param(
            request("retire_ca", obstacle="no key here"),
            SIGNING,
            holders(BOTH, NEW_ISSUER),
            {"retire": True, "trust": EVERYBODY, "says": SAYS_RETIRED},
            id="retiring takes no key",
        ),
        pytest.param(
            RETIRE,
            State((NEW, OLD, FRIEND), None, frozenset({"f1"})),
            holders(BOTH | {"f9"}, NEW_ISSUER),
            {"retire": True, "trust": EVERYBODY, "says": (*SAYS_RETIRED, "a friend is trusted")},
            id="what the user added stays",
        ),
    ],
)
def test_what_is_done(given: Request, state: State, members: list[Holder], expected: dict[str, Any]) -> None:
    assert planned(given, state, members) == expected


TO_GO_ON = "To go on, write -e confirm=main"
UNCONFIRMED = f"Another CA is made for main, and all members trust it beside the present one. {TO_GO_ON}"
UNSEEN = (
    "db2 was not observed (unreachable, or outside --limit), and every member has to follow a change of the CA: bring "
    "it back, or take it out of the inventory."
)
SILENT = (
    "The server on db2 does not answer, so it cannot show which CAs it trusts: run site.yml, or take the host out of "
    "the inventory."
)
PROVIDED = (
    "postgresql_certificates_provided: the certificates of db1 and ops1 are your own, and this playbook replaces those "
    "of the cluster's CA. Put the new files where the variable says and run site.yml, which installs them; for another "
    "CA of your own first let the file ca hold both."
)
OWN = {"is_provided": True}


@pytest.mark.parametrize(
    ("given", "state", "members", "expected"),
    [
        pytest.param(request(confirm=""), SETTLED, holders(BEFORE, OLD_ISSUER), [UNCONFIRMED], id="no confirm"),
        pytest.param(request(confirm="other"), SETTLED, holders(BEFORE, OLD_ISSUER), [UNCONFIRMED], id="wrong"),
        pytest.param(
            request("all"),
            SETTLED,
            [],
            ["scope: 'all' is none of leaf, ca, sign_ca, retire_ca; leave it out for leaf."],
            id="scope",
        ),
        pytest.param(
            request(),
            None,
            holders(BEFORE, OLD_ISSUER),
            ["There is no CA in /ca; site.yml makes one and issues certificates."],
            id="no CA",
        ),
        pytest.param(
            request("leaf", "", "no key here"), SETTLED, holders(BEFORE, OLD_ISSUER), ["no key here"], id="no key"
        ),
        pytest.param(request(), SETTLED, holders(BEFORE, OLD_ISSUER, db2={"is_seen": False}), [UNSEEN], id="unseen"),
        pytest.param(request(), SETTLED, holders(BEFORE, OLD_ISSUER, db2={"answers": False}), [SILENT], id="silent"),
        pytest.param(
            request("leaf", ""), SETTLED, holders(BEFORE, OLD_ISSUER, db1=OWN, ops1=OWN), [PROVIDED], id="provided"
        ),
        pytest.param(
            request(),
            SIGNING,
            holders(BOTH, NEW_ISSUER),
            ["main PostgreSQL CA is not retired yet: run rotate_certificates with -e scope=retire_ca first."],
            id="one after the other",
        ),
        pytest.param(
            request("sign_ca", ""),
            TRUSTING,
            holders(BOTH, OLD_ISSUER),
            [
                "From then on clients that trust main PostgreSQL CA alone cannot connect: they need /ca/ca.crt before, "
                f"which holds both CAs. {TO_GO_ON}"
            ],
            id="sign without confirm",
        ),
        pytest.param(
            SIGN,
            SETTLED,
            holders(BEFORE, OLD_ISSUER),
            ["No CA waits to sign: rotate_certificates with -e scope=ca makes one."],
            id="nobody to sign",
        ),
        pytest.param(
            SIGN,
            TRUSTING,
            holders(BOTH, OLD_ISSUER, db1={"is_late": True}, ops1={"trusted": BEFORE}),
            [
                "db1 and ops1 would not trust what main PostgreSQL CA 2 signs: run rotate_certificates with "
                "-e scope=ca again first."
            ],
            id="not all trust it",
        ),
        pytest.param(
            request("retire_ca", ""),
            SIGNING,
            holders(BOTH, NEW_ISSUER),
            [
                "From then on a certificate of main PostgreSQL CA is worth nothing, neither a member's nor a client's. "
                f"{TO_GO_ON}"
            ],
            id="retire without confirm",
        ),
        pytest.param(
            RETIRE,
            TRUSTING,
            holders(BOTH, OLD_ISSUER),
            ["main PostgreSQL CA 2 does not sign yet: run rotate_certificates with -e scope=sign_ca first."],
            id="retire too early",
        ),
        pytest.param(
            RETIRE,
            SETTLED,
            holders(BEFORE, OLD_ISSUER),
            ["No CA waits to be retired: rotate_certificates with -e scope=ca is the first step to replace one."],
            id="nothing to retire",
        ),
        pytest.param(
            RETIRE,
            SIGNING,
            holders(BOTH, NEW_ISSUER, db2={"issuer": OLD_ISSUER}, ops1={"issuer": ("", "")}),
            [
                f"The certificate of {name} is one of {ca}: run rotate_certificates with -e scope=sign_ca first."
                for name, ca in (("db2", "main PostgreSQL CA"), ("ops1", "no CA"))
            ],
            id="retire while it is in use",
        ),
    ],
)
def test_what_is_refused(given: Request, state: State | None, members: list[Holder], expected: list[str]) -> None:
    found = _rotation.plan(given, state, members)
    assert list(found.refusals) == expected
    assert found == Plan(tuple(expected))


@pytest.mark.parametrize(
    ("given", "state", "members", "lines"),
    [
        pytest.param(
            request(),
            SETTLED,
            holders(BEFORE, OLD_ISSUER),
            [
                "main PostgreSQL CA 2 is made.",
                "db1, db2 and ops1 trust it beside main PostgreSQL CA.",
                "It does not sign yet: give /ca/ca.crt to all clients, then run rotate_certificates with "
                "-e scope=sign_ca.",
            ],
            id="a new CA",
        ),
        pytest.param(
            request(),
            TRUSTING,
            holders(BOTH, OLD_ISSUER),
            [
                "main PostgreSQL CA 2 is made already.",
                "All members trust it beside main PostgreSQL CA.",
                "It does not sign yet: give /ca/ca.crt to all clients, then run rotate_certificates with "
                "-e scope=sign_ca.",
            ],
            id="all trust it",
        ),
        pytest.param(
            SIGN,
            TRUSTING,
            holders(BOTH, OLD_ISSUER),
            [
                "db1, db2 and ops1 get certificates of main PostgreSQL CA 2.",
                "main PostgreSQL CA stays trusted until rotate_certificates runs with -e scope=retire_ca.",
            ],
            id="sign",
        ),
        pytest.param(
            SIGN,
            SIGNING,
            holders(BOTH, NEW_ISSUER),
            [
                "All members have certificates of main PostgreSQL CA 2.",
                "main PostgreSQL CA stays trusted until rotate_certificates runs with -e scope=retire_ca.",
            ],
            id="all have certificates",
        ),
        pytest.param(
            request("retire_ca"),
            SIGNING,
            holders(BOTH, NEW_ISSUER),
            [
                "main PostgreSQL CA leaves db1, db2 and ops1.",
                "db1, db2 and ops1 trust main PostgreSQL CA 2 alone.",
            ],
            id="retire",
        ),
        pytest.param(request("retire_ca"), RETIRED, holders(AFTER, NEW_ISSUER), [], id="retired"),
    ],
)
def test_what_the_operator_reads(given: Request, state: State, members: list[Holder], lines: list[str]) -> None:
    assert list(_rotation.plan(given, state, members).lines) == lines


def test_a_member_that_was_seen() -> None:
    seen = {
        "certificates": {"ca_fingerprints": ["f1"], "issuer": "main PostgreSQL CA", "issuer_key_id": "k1"},
        "stale": ["/etc/ssl/postgresql/main/ca.crt"],
        "server": {},
    }
    member = {"name": "db1", "duties": ["database"]}
    own = Holder("db1", True, answers=False, trusted=BEFORE, issuer=OLD_ISSUER, is_late=True)
    assert Holder.of(member, seen, False, "/etc/ssl/postgresql/main") == own
    assert Holder.of(member, seen, False, "/etc/ssl/postgresql/mai") == replace(own, is_late=False)
    assert Holder.of(member, None, False, "/x") == Holder("db1", True, is_seen=False, answers=False)
    assert Holder.of({"name": "ops1", "duties": ["repository"]}, {"server": {"version": "16"}}, True, "/x") == Holder(
        "ops1", False, is_provided=True
    )


SERVER = {"unit": "postgresql", "duties": ["database"], "port": 5432, "starttls": "postgres"}
BACKUP = {"unit": "pgbackrest", "duties": ["database", "repository"], "port": 8432, "starttls": ""}


@pytest.mark.parametrize(
    ("duties", "answers", "expected"),
    [
        (["database", "pooler"], True, [SERVER, BACKUP]),
        (["database"], False, [BACKUP]),
        (["repository"], False, [BACKUP]),
        (["pooler"], True, []),
    ],
)
def test_who_reads_the_files(duties: list[str], answers: bool, expected: list[Any]) -> None:
    assert _rotation.readers_of([SERVER, BACKUP], duties, answers) == expected


@pytest.mark.parametrize("duties", [["database", "pooler"], ["pooler"]])
def test_a_pooler_reads_the_files_whether_or_not_a_server_answers(duties: list[str]) -> None:
    pooler = {"unit": "pgbouncer@1", "duties": ["pooler"], "port": 6432, "starttls": "postgres"}
    assert _rotation.readers_of([SERVER, pooler], duties, answers=False) == [pooler]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(None, [], id="none on this controller"),
        pytest.param(SETTLED, [], id="at rest"),
        pytest.param(RETIRED, [], id="retired"),
        pytest.param(
            TRUSTING,
            ["The CA is being replaced: main PostgreSQL CA 2 is made and does not sign yet."],
            id="trusting",
        ),
        pytest.param(
            SIGNING,
            ["The CA was replaced: main PostgreSQL CA 2 signs, and main PostgreSQL CA is still trusted."],
            id="signing",
        ),
        pytest.param(
            State((replace(OLD, not_after=NOW + 179 * DAY),)),
            ["The CA main PostgreSQL CA expires in 179 days, and no certificate outlives it."],
            id="it expires",
        ),
    ],
)
def test_what_a_check_says_of_the_ca(state: State | None, expected: list[str]) -> None:
    assert [text for text, _ in _rotation.findings(state, NOW)] == expected
