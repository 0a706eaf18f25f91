# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all databases share: which SQL makes the declared roles, memberships and databases of what there is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ansible_collections.steadfast.postgresql.plugins.module_utils import _grants
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import UNLIMITED, Application, Role
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import (
    Drift,
    RefusalError,
    Script,
    named,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import (
    INVALID,
    ClusterState,
    DatabaseState,
    RoleState,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ADMINISTRATOR_GROUPS, RESERVED_ROLES
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change, identifier, quoted

HIDDEN = "********"
MAINTENANCE = ("postgres", "rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys")
"""Databases that belong to the server or its provider."""

# Which package of the PostgreSQL project and of Debian has an extension; {} stands for the major version.
PACKAGES = {
    "hypopg": "postgresql-{}-hypopg",
    "pg_cron": "postgresql-{}-cron",
    "pg_partman": "postgresql-{}-partman",
    "pg_repack": "postgresql-{}-repack",
    "pgaudit": "postgresql-{}-pgaudit",
    "postgis": "postgresql-{}-postgis-3",
    "vector": "postgresql-{}-pgvector",
}


def refuse(applications: Sequence[Application], state: ClusterState, verifiers: Mapping[str, str]) -> None:
    """Refuse what cannot be applied to this server, all of it before anything is changed.

    Args:
        applications: what is to be applied.
        state: what there is.
        verifiers: what the password becomes of each login whose password is new or another one.

    Raises:
        RefusalError: something is in the way.
    """
    found = [text for application in applications for text in _refusals(application, state)]
    found += [text for application in applications for text in _in_use(application, state, verifiers)]
    if state.in_recovery:
        found = ["this server is a standby; run on the primary"]
    if found:
        raise RefusalError(found)


def _refusals(application: Application, state: ClusterState) -> Iterator[str]:
    name, database = application.name, state.databases.get(application.database)
    for role in application.roles:
        if role.name in state.roles and state.roles[role.name].superuser:
            sql = f"ALTER ROLE {identifier(role.name)} NOSUPERUSER"
            yield f"{name}: the role {role.name} is a superuser; declare another name, or run {sql}"
    if database and database.connection_limit == INVALID:
        sql = f"DROP DATABASE {identifier(application.database)}"
        yield f"{name}: the database {application.database} is what an interrupted DROP DATABASE left; run {sql}"
    elif database and not database.connects:
        sql = f"ALTER DATABASE {identifier(application.database)} ALLOW_CONNECTIONS true"
        yield f"{name}: the database {application.database} takes no connections; run {sql}"
    if not application.absent and database is None and not _has_locale(application.locale, state.locales):
        yield (
            f"{name}: the server has no locale {application.locale}; make it on every database host (on Debian in "
            "/etc/locale.gen, then locale-gen), or write another one into locale"
        )
    if not application.absent and state.extensions is not None:
        yield from _extensions(application, state.extensions, state.version, state.superuser)


def _has_locale(locale: str, known: Collection[str] | None) -> bool:
    """Whether the operating system has a locale, which spells the name of an encoding in several ways."""
    if not locale or known is None:
        return True
    return _spelt(locale) in {*map(_spelt, known), "c", "posix"}


def _spelt(locale: str) -> str:
    name, dot, encoding = locale.partition(".")
    return f"{name}{dot}{encoding.replace('-', '')}".lower()


def _in_use(application: Application, state: ClusterState, verifiers: Mapping[str, str]) -> Iterator[str]:
    """Refuse to change the password of a login in use, where another one is there so that nobody has to fail."""
    for role in application.accounts:
        sessions = state.sessions.get(role.name, 0)
        if role.twin and role.name in verifiers and sessions:
            yield (
                f"{application.name}: {role.name} has {sessions} sessions and would get another password, which fails "
                f"their next connections; move them to {role.twin} first, whose password may change now"
            )


def _extensions(
    application: Application, available: Mapping[str, Sequence[str]], version: int, own: bool
) -> Iterator[str]:
    for extension in application.extensions:
        versions = available.get(extension.name)
        if versions is None:
            package = PACKAGES.get(extension.name, "the package that has it").format(version)
            # A provider's server has what its provider gives.
            advice = f"write {package} into postgresql_server_extension_packages, or " if own else ""
            lacks = f"{application.name}: the server has no extension {extension.name}"
            yield f"{lacks}; {advice}remove it from the application"
        elif extension.version and extension.version not in versions:
            listed = ", ".join(sorted(versions))
            yield (
                f"{application.name}: the server has no version {extension.version} of the extension {extension.name}; "
                f"write one of {listed}"
            )


def roles(applications: Sequence[Application], state: ClusterState, verifiers: Mapping[str, str]) -> Script:
    """Return the statements about roles and memberships.

    Args:
        applications: those that are to be there.
        state: what there is.
        verifiers: what the password becomes of each login whose password is new or another one.
    """
    script = Script()
    for application in applications:
        for role in application.roles:
            _role(script, role, state.roles.get(role.name), verifiers.get(role.name))
    _memberships(script, applications, state)
    return script


def _role(script: Script, role: Role, found: RoleState | None, verifier: str | None) -> None:
    name = identifier(role.name)
    if found is None:
        options = "LOGIN" if role.logs_in else "NOLOGIN"
        options += f" CONNECTION LIMIT {role.connection_limit}" if role.connection_limit != UNLIMITED else ""
        start = f"CREATE ROLE {name} {options}"
        secret = f" PASSWORD {quoted(verifier)}" if verifier else ""
        shown = f"{start} PASSWORD '{HIDDEN}'" if verifier else ""
        script.add(start + secret, change("role", role.name, "absent", role.kind), shown)
        script.add(f"COMMENT ON ROLE {name} IS {quoted(role.comment)}")
        return
    _attributes(script, role, found)
    if verifier:
        _password(script, role.name, verifier)
    if found.comment != role.comment:
        entry = change("role", role.name, "another comment", "comment set")
        script.add(f"COMMENT ON ROLE {name} IS {quoted(role.comment)}", entry)


def _password(script: Script, login: str, verifier: str) -> None:
    start = f"ALTER ROLE {identifier(login)} PASSWORD"
    entry = change("role", login, "another password", "password set")
    script.add(f"{start} {quoted(verifier)}", entry, f"{start} '{HIDDEN}'")


def passwords(applications: Sequence[Application], state: ClusterState, verifiers: Mapping[str, str]) -> Script:
    """Return the statements that change passwords, and nothing else; logins that are not there yet get none.

    Raises:
        RefusalError: the password of a login in use would change, where another one is there.
    """
    found = [text for application in applications for text in _in_use(application, state, verifiers)]
    if found:
        raise RefusalError(found)
    script = Script()
    for application in applications:
        for login in application.logins:
            if login in verifiers and login in state.roles:
                _password(script, login, verifiers[login])
    return script


def turns(applications: Sequence[Application], state: ClusterState) -> Iterator[Drift]:
    """Say of each account with two logins which of them is in use, and whose password may change next."""
    for application in applications:
        for role in application.accounts:
            if role.twin and role.name < role.twin:
                counts = {name: state.sessions.get(name, 0) for name in (role.name, role.twin)}
                free = [name for name, count in counts.items() if not count]
                words = " and ".join(f"{name} {count}" for name, count in counts.items())
                advice = (
                    f"Whose password may change: {' or '.join(free)}." if free else "Move the clients of one first."
                )
                yield Drift(f"Sessions of {application.name}: {words}.", advice)


def _attributes(script: Script, role: Role, found: RoleState) -> None:
    name = identifier(role.name)
    wanted, had = ("login", "nologin") if role.logs_in else ("nologin", "login")
    if found.login != role.logs_in:
        script.add(f"ALTER ROLE {name} {wanted.upper()}", change("role", role.name, had, wanted))
    if found.elevated:
        without = " ".join(f"NO{word}" for word in found.elevated)
        entry = change("role", role.name, " ".join(found.elevated).lower(), "without")
        script.add(f"ALTER ROLE {name} {without}", entry)
    if not found.inherits:
        script.add(f"ALTER ROLE {name} INHERIT", change("role", role.name, "noinherit", "inherit"))
    if found.valid_until:
        entry = change("role", role.name, f"valid until {found.valid_until}", "without end")
        script.add(f"ALTER ROLE {name} VALID UNTIL 'infinity'", entry)
    if found.connection_limit != role.connection_limit:
        entry = change("connection limit", role.name, _limit(found.connection_limit), _limit(role.connection_limit))
        script.add(f"ALTER ROLE {name} CONNECTION LIMIT {role.connection_limit}", entry)


def _limit(number: int) -> str:
    return "none" if number == UNLIMITED else str(number)


def _memberships(script: Script, applications: Sequence[Application], state: ClusterState) -> None:
    """Grant what lacks; take back what one of the collection's roles has of another and is not declared."""
    wanted = [(group, role.name) for one in applications for role in one.roles for group in role.member_of]
    declared = set(wanted)
    missing = [pair for pair in wanted if not state.memberships.get(pair)]
    ours = {role.name for application in applications for role in application.roles}
    extra = sorted(pair for pair in state.memberships if pair not in declared and set(pair) <= ours)
    # First, with all that depends on it: who may hand on a membership, and what of that has been done.
    admins = sorted(declared & state.admins)
    if admins:
        sql = [f"{text} CASCADE" for text in _grants.memberships(admins, "REVOKE ADMIN OPTION FOR")]
        script.add(sql, _counted(admins, "with admin option", "without"))
    for group, member, by in state.handed:
        if by in ours and (group, by) not in admins:
            sql = [f"REVOKE {identifier(group)} FROM {identifier(member)} GRANTED BY {identifier(by)} CASCADE"]
            script.add(sql, change("membership", f"{group} to {member}", f"granted by {by}", "revoked"))
    if missing:
        script.add(_grants.memberships(missing), _counted(missing, "absent", "granted"))
    if extra:
        script.add(_grants.memberships(extra, "REVOKE"), _counted(extra, "granted", "revoked"))


def _counted(pairs: Sequence[tuple[str, str]], before: str, after: str) -> dict[str, str]:
    words = f"{pairs[0][0]} to {pairs[0][1]}" if len(pairs) == 1 else f"{len(pairs)} memberships"
    return change("membership", words, before, after)


def databases(applications: Sequence[Application], state: ClusterState) -> Script:
    """Return the statements that make databases; none of them can be in a transaction."""
    script = Script(together=False)
    for application in applications:
        if application.database not in state.databases:
            name = identifier(application.database)
            locale = f" LOCALE {quoted(application.locale)}" if application.locale else ""
            # template0 is the same everywhere, and takes any locale.
            script.add(
                f"CREATE DATABASE {name} OWNER {identifier(application.owner.name)} TEMPLATE template0 "
                f"ENCODING {quoted(application.encoding)}{locale}",
                change("database", application.database, "absent", "present"),
            )
            script.add(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    return script


def removals(applications: Sequence[Application], state: ClusterState) -> list[Script]:
    """Return the statements that drop what is to be absent: databases one by one, then roles."""
    drops, gone = Script(together=False), Script()
    for application in applications:
        if application.database in state.databases:
            entry = change("database", application.database, "present", "dropped")
            drops.add(f"DROP DATABASE {identifier(application.database)}", entry)
        names = [role.name for role in application.roles if role.name in state.roles]
        if names:
            entry = change("roles", application.name, named(names), "dropped")
            gone.add(f"DROP ROLE {', '.join(map(identifier, names))}", entry)
    return [drops, gone]


def drift(applications: Sequence[Application], state: ClusterState) -> Iterator[Drift]:
    """Yield databases and memberships that are declared nowhere; of absent applications nothing is drift."""
    known = {application.database for application in applications} | {*MAINTENANCE}
    for name in sorted(set(state.databases) - known):
        sql = f"DROP DATABASE {identifier(name)}"
        yield Drift(f"The database {name} belongs to no application.", f"Declare one, or drop it by hand: {sql};")
    ours = {role.name: role for application in applications for role in application.roles}
    foreign = {*RESERVED_ROLES, state.user}
    for group, member in sorted(state.memberships):
        if (group in ours) == (member in ours) or member in foreign:
            continue
        sql = f"REVOKE {identifier(group)} FROM {identifier(member)}"
        yield Drift(f"{member} is a member of {group}, which is declared nowhere.", f"To end it: {sql};")
    yield from _handed_on(state, ours)
    yield from _foreign_roles(state, {*ours, *foreign})
    yield from _foreign_settings(applications, state)
    yield from _templates(applications, state)


def _handed_on(state: ClusterState, ours: Collection[str]) -> Iterator[Drift]:
    """Yield memberships that others granted, and rights on the server itself."""
    for group, member, by in state.handed:
        if by not in ours and (group in ours or member in ours):
            sql = f"REVOKE {identifier(group)} FROM {identifier(member)} GRANTED BY {identifier(by)}"
            yield Drift(f"{member} is a member of {group} because {by} granted it.", f"To end it: {sql};")
    for what, role, words in state.server_rights:
        if role in ours or role == _grants.EVERYBODY:
            who = "Everybody" if role == _grants.EVERYBODY else role
            sql = f"REVOKE {words} ON {what} FROM {_grants.role(role)}"
            yield Drift(f"{who} has rights on {what}, which is declared nowhere: {words}.", f"To end it: {sql};")


def _templates(applications: Sequence[Application], state: ClusterState) -> Iterator[Drift]:
    for application in applications:
        found = state.databases.get(application.database)
        if found and found.template:
            sql = f"ALTER DATABASE {identifier(application.database)} IS_TEMPLATE false"
            text = (
                f"The database {application.database} is marked as a template: whoever may make databases may copy it."
            )
            yield Drift(text, f"To end it: {sql};")


def _foreign_settings(applications: Sequence[Application], state: ClusterState) -> Iterator[Drift]:
    """Yield settings of sessions that nobody declares: of everybody, of a whole database, of a role elsewhere."""
    for setting, value in sorted(state.settings.get(("", ""), {}).items()):
        text = f"Every session of the server has the setting {setting} = {value}, which is declared nowhere."
        yield Drift(text, f"To end it: ALTER ROLE ALL RESET {setting};")
    for application in applications:
        for setting, value in sorted(state.settings.get(("", application.database), {}).items()):
            sql = f"ALTER DATABASE {identifier(application.database)} RESET {setting}"
            text = (
                f"The database {application.database} has the setting {setting} = {value}, which is declared nowhere."
            )
            yield Drift(text, f"To end it: {sql};")
    own = {role.name: application.database for application in applications for role in application.roles}
    for (role, database), settings in sorted(state.settings.items()):
        if role not in own or database == own[role]:
            continue
        where = f"the database {database}" if database else "every database"
        words = f" IN DATABASE {identifier(database)}" if database else ""
        for setting, value in sorted(settings.items()):
            sql = f"ALTER ROLE {identifier(role)}{words} RESET {setting}"
            text = f"{role} has the setting {setting} = {value} in {where}, which is declared nowhere."
            yield Drift(text, f"To end it: {sql};")


def _foreign_roles(state: ClusterState, known: Collection[str]) -> Iterator[Drift]:
    """Yield roles that belong to nobody; of administrators, also former ones, the check of the server speaks.

    On a provider's server there are roles of the provider, too.
    """
    if not state.superuser:
        return
    others = {name: role for name, role in sorted(state.roles.items()) if name not in known}
    groups = [name for name, role in others.items() if not (role.login or role.superuser)]
    if groups:
        sql = f"DROP ROLE {identifier(groups[0])}"
        text = f"Roles without a login are declared nowhere: {named(groups)}."
        yield Drift(text, f"Declare them, or drop them by hand, such as: {sql};")
    for name, role in others.items():
        is_administrator = all((group, name) in state.memberships for group in ADMINISTRATOR_GROUPS)
        if role.login and (role.superuser or not is_administrator):
            what = "superuser" if role.superuser else "role"
            sql = f"ALTER ROLE {identifier(name)} NOLOGIN"
            yield Drift(f"The {what} {name} may log in and is declared nowhere.", f"Declare it, or end that: {sql};")


def of_database(script: Script, application: Application, found: DatabaseState) -> Iterator[Drift]:
    """Add what the database itself lacks: its owner, its comment, who may connect.

    Yields:
        What is reported instead.
    """
    name = identifier(application.database)
    if found.owner != application.owner.name:
        entry = change("database", application.database, f"owner {found.owner}", f"owner {application.owner.name}")
        script.add(f"ALTER DATABASE {name} OWNER TO {identifier(application.owner.name)}", entry)
    if found.comment != application.comment:
        entry = change("database", application.database, "another comment", "comment set")
        script.add(
            f"COMMENT ON DATABASE {name} IS {quoted(application.comment) if application.comment else 'NULL'}", entry
        )
    if found.connection_limit not in {UNLIMITED, INVALID}:
        sql = f"ALTER DATABASE {name} CONNECTION LIMIT -1"
        text = f"The database {application.database} takes at most {found.connection_limit} sessions of all accounts"
        yield Drift(f"{text}, which is declared nowhere.", f"To end it: {sql};")
    if found.encoding != application.encoding:
        text = f"The database {application.database} has the encoding {found.encoding}, not {application.encoding}."
        yield Drift(text, "An encoding cannot be changed: declare that one, or move the data into a new database.")
    if application.locale and found.locale != application.locale:
        text = f"The database {application.database} has the locale {found.locale}, not {application.locale}."
        yield Drift(text, "A locale cannot be changed: declare that one, or move the data into a new database.")
