"""The database's volume: as an earlier version left it, and all that it holds."""

from collections.abc import Collection

from tests.stack.compose import Stack, expect, until

#: The newest schema of the version before a new database took the best storage tier: all were plain.
EARLIER = "0010"
STAMP = """
CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES ('0010');
"""
RELATIONS = """SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT relispartition AND relnamespace = 'public'::regnamespace"""
TABLES = """SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p', 'v') AND NOT relispartition AND relnamespace = 'public'::regnamespace ORDER BY 1"""
#: Views that count minutes up to the present one, so that each minute changes them.
OF_NOW = ("coverage_states", "gaps")
#: Every row as one hash.
HASH = """SELECT '{name}', count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '-')
    FROM {name} AS t"""


def is_an_earlier_versions(stack: Stack) -> str:
    """A volume as an earlier version made it: yearly partitions, on a server that has TimescaleDB"""
    stack.compose("up", "-d", "coin-psql")
    until(90, "coin-psql is healthy", lambda: stack.state("coin-psql") == "healthy")
    files = sorted((stack.folder / "scripts/database/revisions").glob("*.sql"))
    script = [file.read_text() for file in files if file.name[: len(EARLIER)] <= EARLIER]
    made = stack.folder / "earlier.sql"
    made.write_text("SET ROLE candlehouse;\n" + "\n".join(script) + STAMP)
    stack.run("docker", "cp", str(made), "coin-psql:/tmp/earlier.sql")
    options = ("-U", "postgres", "-Xq1", "-v", "ON_ERROR_STOP=1", "-f", "/tmp/earlier.sql")
    stack.run("docker", "exec", "coin-psql", "psql", *options)
    return f"schema {EARLIER}, tier {tier(stack)}"


def tier(stack: Stack) -> str:
    """The storage tier; nothing while there is no database."""
    asked = ("psql", "-U", "postgres", "-XqAtc", "SELECT tier FROM storage")
    done = stack.tried("docker", "exec", "coin-psql", *asked)
    return "" if done.returncode else done.stdout.strip()


def hashes(stack: Stack) -> dict[str, str]:
    """Rows and hash of every table and view that tells the same whenever it is asked."""
    names = [name for name in stack.sql(TABLES).split() if name not in OF_NOW]
    query = " UNION ALL ".join(HASH.format(name=name) for name in names)
    return dict(line.split(",", 1) for line in stack.sql(query).splitlines())


def same(before: dict[str, str], after: dict[str, str], but: Collection[str] = ()) -> str:
    """Failed, naming them, where tables or views differ."""
    differ = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - set(but)
    expect(not differ, f"differ: {sorted((name, before.get(name), after.get(name)) for name in differ)}")
    return f"{len(before)} tables and views are the same, {before['candles'].split()[0]} candles"
