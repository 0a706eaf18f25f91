# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of pg_hba.conf and maps of pg_ident.conf as they are rendered."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.steadfast.postgresql.plugins.filter.pg_hba import FilterModule as HbaFilters
from ansible_collections.steadfast.postgresql.plugins.filter.pg_ident import FilterModule as IdentFilters
from ansible_collections.steadfast.postgresql.plugins.module_utils import _hba, _hba_check

NETWORKS = _hba.Networks(
    application=["10.20.0.0/16", "2001:db8:20::/48"],
    management=["10.9.0.0/24"],
    members={"db2": "10.0.0.12", "db1": "10.0.0.11", "db-3.example": "fd00::13"},
)
RULE = {
    "comment": "The shop",
    "databases": ["shop"],
    "users": ["shop_rw"],
    "addresses": ["10.20.1.0/24"],
    "method": "scram-sha-256",
}

WHOLE = """\
# TYPE   DATABASE         USER          ADDRESS           METHOD         OPTIONS

# Local administration: the system user postgres, over the socket
local    all              postgres                        peer

# Replication by db-3.example
hostssl  replication      replicator    fd00::13/128      cert           map=replication

# Replication by db1
hostssl  replication      replicator    10.0.0.11/32      cert           map=replication

# Replication by db2
hostssl  replication      replicator    10.0.0.12/32      cert           map=replication

# No superuser over the network
hostssl  all,replication  postgres      all               reject

# The shop
hostssl  shop             shop_rw,"on"  10.20.1.0/24      scram-sha-256  clientcert=verify-full
hostssl  shop             shop_rw,"on"  2001:db8:20::/48  scram-sha-256  clientcert=verify-full

# Administrator alice
hostssl  all              alice         10.9.0.0/24       scram-sha-256

# The one who is called all
hostssl  all              "all"         10.9.0.0/24       scram-sha-256

# Metrics
local    all              metrics                         peer           map=metrics

# Everything else is refused, and so is every connection without TLS.
"""

ALONE = """\
# TYPE   DATABASE         USER      ADDRESS  METHOD  OPTIONS

# Local administration: the system user postgres, over the socket
local    all              postgres           peer

# No superuser over the network
hostssl  all,replication  postgres  all      reject

# Everything else is refused, and so is every connection without TLS.
"""

IDENT = """\
# MAP        SYSTEM-USER   ROLE

# The certificate of db-3.example
replication  db-3.example  replicator

# The certificate of db1
replication  db1           replicator

# The certificate of odd, name
replication  "odd, name"   replicator

# The exporter
metrics      exporter      "all"
"""


def test_the_whole_file() -> None:
    rules = [
        {
            **RULE,
            "users": ["shop_rw", '"on"'],
            "addresses": ["10.20.1.0/24", "2001:DB8:20::/48"],
            "options": {"clientcert": "verify-full"},
        }
    ]
    administrators = [
        {"name": "alice", "password": "not looked at"},
        {"name": "all", "comment": "The one who is called all"},
    ]
    contributed = [
        {
            "comment": "Metrics",
            "type": "local",
            "databases": ["all"],
            "users": ["metrics"],
            "method": "peer",
            "options": {"map": "metrics"},
        }
    ]
    assert _hba_check.check(rules, NETWORKS) == []
    assert _hba_check.check(contributed, NETWORKS, "contributed", contributed=True) == []
    assert _hba.render(_hba.build(NETWORKS, administrators, contributed, rules)) == WHOLE


@pytest.mark.parametrize("members", [{}, {"db1": "10.0.0.11"}])
def test_a_single_server_has_no_rule_for_replication(members: dict[str, str]) -> None:
    networks = _hba.Networks(members=members)
    assert _hba.render(_hba.build(networks, [{"name": "alice"}])) == ALONE
    assert "replicator" not in _hba.render_ident(_hba.build_ident(networks))


def test_every_superuser_that_is_known_is_refused_before_anybody_is_let_in() -> None:
    rules = _hba.build(NETWORKS, [{"name": "alice"}], [RULE], [RULE], superusers=["postgres", "old admin", "all"])
    refusals = [index for index, rule in enumerate(rules) if rule.method == "reject"]
    first = min(index for index, rule in enumerate(rules) if rule.method == "scram-sha-256")
    assert len(refusals) == 1
    assert refusals[0] < first
    assert _hba.render(rules).count('hostssl  all,replication  postgres,"old admin","all"  all') == 1


def test_no_rule_for_connections_without_tls() -> None:
    rules = _hba.build(NETWORKS, [{"name": "alice"}], [RULE], [RULE])
    assert {rule.type for rule in rules} == {"local", "hostssl"}
    assert [rule.users for rule in rules if rule.type == "local"] == [("postgres",)]


def test_the_order_of_members_and_options_does_not_matter() -> None:
    other = _hba.Networks(members=dict(sorted(NETWORKS.members.items())))
    assert _hba.build(other) == _hba.build(_hba.Networks(members=NETWORKS.members))
    options = {"clientname": "DN", "clientcert": "verify-full"}
    turned = dict(reversed(options.items()))
    assert _hba.rule_from({**RULE, "options": options}) == _hba.rule_from({**RULE, "options": turned})


def test_pg_ident() -> None:
    networks = _hba.Networks(members={"odd, name": "fd00::13", "db1": "10.0.0.11", "db-3.example": "10.0.0.12"})
    contributed = [{"comment": "The exporter", "map": "metrics", "system_user": "exporter", "role": "all"}]
    assert _hba.render_ident(_hba.build_ident(networks, contributed)) == IDENT


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("shop", "shop"),
        ("db-1.example", "db-1.example"),
        ("all", "all"),
        ("sameuser", "sameuser"),
        ("replication", "replication"),
        ('"all"', '"all"'),
        ('"replication"', '"replication"'),
        ("samegroup", '"samegroup"'),
        ("two words", '"two words"'),
        ("a,b", '"a,b"'),
        ("x#y", '"x#y"'),
        ('a"b', '"a""b"'),
        ("@file", '"@file"'),
        ("back\\", '"back\\"'),
        ("größe", '"größe"'),
        (r"/^shop_\d+$", r"/^shop_\d+$"),
        ("/^a{1,2}$", '"/^a{1,2}$"'),
    ],
)
def test_how_a_database_is_written(name: str, written: str) -> None:
    rule = _hba.Rule("x", (name,), ("u",), "cert", addresses=("10.20.0.0/16",))
    assert _hba.render([rule]).splitlines()[3] == f"hostssl  {written.ljust(8)}  u     10.20.0.0/16  cert"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("all", "all"),
        ("replication", '"replication"'),
        ("+staff", "+staff"),
        ("+our staff", '+"our staff"'),
        ('"+staff"', '"+staff"'),
    ],
)
def test_how_a_user_is_written(name: str, written: str) -> None:
    rule = _hba.Rule("x", ("d",), (name,), "cert", addresses=("10.20.0.0/16",))
    assert _hba.render([rule]).splitlines()[3] == f"hostssl  d         {written.ljust(4)}  10.20.0.0/16  cert"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("alice", "alice"),
        ("all", '"all"'),
        ("replication", '"replication"'),
        ("+staff", '"+staff"'),
        ("@file", '"@file"'),
        ('"', '""""'),
        ('"x"', '"""x"""'),
        ("/x.y", r"/^\/x\.y$"),
        ("/a b", r'"/^\/a\ b$"'),
    ],
)
def test_how_exactly_one_name_is_written(name: str, written: str) -> None:
    rule = _hba.Rule("x", ("d",), (_hba.literal(name),), "cert", addresses=("10.20.0.0/16",))
    assert _hba.render([rule]).splitlines()[3] == f"hostssl  d         {written.ljust(4)}  10.20.0.0/16  cert"


@pytest.mark.parametrize("comment", ["ends so \\", "ends so \\ \\\n", "ends\nso"])
def test_a_comment_never_swallows_or_becomes_a_rule(comment: str) -> None:
    lines = _hba.render([_hba.Rule(comment, ("d",), ("u",), "peer", "local")]).splitlines()
    assert lines[2:4] == ["# ends so", "local   d         u              peer"]


@pytest.mark.parametrize(
    ("address", "network"),
    [("10.0.0.1", "10.0.0.1/32"), ("FD00::1", "fd00::1/128"), ("db1.example.com", "db1.example.com")],
)
def test_host_network(address: str, network: str) -> None:
    assert _hba.host_network(address) == network


def test_a_member_whose_address_is_not_known_has_no_rule_and_keeps_its_name() -> None:
    networks = _hba.Networks(members={"db1": "10.0.0.1", "db2": ""})
    text = _hba.render(_hba.build(networks))
    assert "# Replication by db1\n" in text
    assert "db2" not in text
    assert networks.member_networks == ["10.0.0.1/32"]
    assert [line.system_user for line in _hba.build_ident(networks)] == ["db1", "db2"]


def test_replicas_are_read_from_what_was_rendered() -> None:
    members = {"db1": "10.0.0.1", "DB-2": "fd00::2", "db3": "db3.example.com"}
    rule = {**RULE, "comment": "Replication by somebody else", "databases": ["replication"]}
    assert _hba.replicas(_hba.render(_hba.build(_hba.Networks(members=members), rules=[rule]))) == members


@pytest.mark.parametrize("text", ["", "# Replication by db1", "# Replication by db1\nhost  all  all  all  trust\n"])
def test_replicas_of_another_text(text: str) -> None:
    assert _hba.replicas(text) == {}


# The filters


def test_filters() -> None:
    pg_hba = HbaFilters().filters()["pg_hba"]
    pg_ident = IdentFilters().filters()["pg_ident"]
    assert pg_hba([]) == ALONE
    text = pg_hba([RULE], members={"db1": "10.0.0.11"}, application_networks=["10.20.0.0/16"])
    assert "\n# The shop\nhostssl  shop             shop_rw   10.20.1.0/24  scram-sha-256\n" in text
    assert "replication  db1          replicator\n" in pg_ident({"db1": "10.0.0.11", "db2": "10.0.0.12"})


def test_the_filter_refuses_what_preflight_would() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        HbaFilters().filters()["pg_hba"](
            [{**RULE, "method": "md5"}], members={"db1": "10.0.0.1"}, management_networks=["10.0.0.1"]
        )
    assert str(caught.value).splitlines() == [
        "postgresql_management_networks[0]: 10.0.0.1 has no prefix length; write 10.0.0.1/32 for this one host",
        "postgresql_server_hba_rules[0].method: md5 is broken; write scram-sha-256, cert or reject",
    ]
