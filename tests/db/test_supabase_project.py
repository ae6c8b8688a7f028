"""A database as a Supabase project has it: `postgres` is no superuser, `auth` is somebody else's, roles of an API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from edge_functions.postgres import EmbeddedPostgres
from edge_functions.schema import apply_schema
from tests.db.conftest import as_role
from tests.support.deployments import DEBIAN_POSTGRES, debian_postgres, temporary_folder

SUPABASE = """
create role anon; create role authenticated; create role service_role; create role supabase_auth_admin;
create role project_admin login createrole bypassrls; -- as Supabase's `postgres` is
grant create on database postgres to project_admin;
create schema auth authorization supabase_auth_admin;
create table auth.users (id uuid primary key);
alter table auth.users owner to supabase_auth_admin;
grant usage on schema auth to anon, authenticated, service_role, project_admin;
"""
AUTH = """
select relname, pg_get_userbyid(relowner), relacl::text from pg_class where relnamespace = 'auth'::regnamespace
union all select nspname, pg_get_userbyid(nspowner), nspacl::text from pg_namespace where nspname = 'auth' order by 1
"""
REACHED = """
select r.rolname, c.relname from pg_class c, pg_roles r
where c.relnamespace = 'coterie'::regnamespace and r.rolname in ('anon', 'authenticated', 'service_role')
  and c.relkind in ('r', 'p')
  and (has_schema_privilege(r.oid, 'coterie', 'usage') or has_any_column_privilege(r.oid, c.oid, 'select'))
union all select r.rolname, p.proname from pg_proc p, pg_roles r
where p.pronamespace = 'coterie'::regnamespace and has_function_privilege(r.oid, p.oid, 'execute')
  and r.rolname in ('anon', 'authenticated', 'service_role')
"""


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """Version 18: who makes a role there may not enter it by that alone, as since 16."""
    with EmbeddedPostgres(folder / "embedded", durable=False) as postgres:
        yield postgres.url


@contextlib.contextmanager
def debian(folder: Path) -> Iterator[str]:
    """Version 15."""
    with debian_postgres(folder / "cluster") as url:
        yield url


without_debian = pytest.mark.skipif(
    not DEBIAN_POSTGRES.exists(), reason="PostgreSQL 15 is not installed (apt-get install postgresql-15)"
)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("cluster", [embedded, pytest.param(debian, marks=without_debian)])
def test_the_schema_applies_beside_supabases_own(
    cluster: Callable[[Path], contextlib.AbstractContextManager[str]],
) -> None:
    with temporary_folder() as folder, cluster(folder) as url:
        asyncio.run(applies(url))


async def applies(url: str) -> None:
    """As the project's administrator, twice."""
    async with connected(url) as superuser, connected(url) as other:
        await superuser.execute(SUPABASE)
        before = await superuser.fetch(AUTH)
        async with connected(as_role(url, "project_admin")) as admin:
            # what Supabase does in every project, so that PostgREST finds new tables
            for kind in ("tables", "functions", "sequences"):
                await admin.execute(
                    f"alter default privileges grant all on {kind} to anon, authenticated, service_role"
                )
            for _ in range(2):
                await apply_schema(admin)
                await admin.execute("comment on schema coterie is 'again'")
        assert await other.fetch(AUTH) == before
        assert await other.fetch(REACHED) == []
        powers = "select rolsuper or rolbypassrls from pg_roles where rolname = 'coterie_owner'"
        assert await other.fetchval(powers) is False
    async with connected(as_role(url, "coterie_api")) as api:
        assert await api.fetchval("select coterie.status_v1()")
