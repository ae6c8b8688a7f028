"""The catalog's tests turn red: each fault is put in, in a transaction that is rolled back."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.db import test_catalog as catalog

Check = Callable[[asyncpg.Connection], Awaitable[None]]

_FUNCTION = "create function coterie.x() returns integer language sql {} as 'select 1'"
_OWNED = "set local role coterie_owner; "

FAULTS: dict[str, tuple[str, Check]] = {
    "a table without any rule": (
        "create table coterie.x (one integer)",
        catalog.test_row_level_security_is_on_and_forced_on_every_table,
    ),
    "row-level security that spares the owner": (
        "alter table coterie.messages no force row level security",
        catalog.test_row_level_security_is_on_and_forced_on_every_table,
    ),
    "row-level security off": (
        "alter table coterie.messages disable row level security",
        catalog.test_row_level_security_is_on_and_forced_on_every_table,
    ),
    "a view": (
        "create view coterie.x as select * from coterie.messages",
        catalog.test_there_are_no_views_or_sequences_to_get_around_it,
    ),
    "a materialized view": (
        "create materialized view coterie.x as select * from coterie.messages",
        catalog.test_there_are_no_views_or_sequences_to_get_around_it,
    ),
    "a sequence": (
        "create sequence coterie.x",
        catalog.test_there_are_no_views_or_sequences_to_get_around_it,
    ),
    "a definer function that nobody listed": (
        _OWNED + _FUNCTION.format("stable security definer set search_path = ''"),
        catalog.test_the_security_definer_functions_are_these_and_no_others,
    ),
    "a listed function that became a definer no more": (
        "alter function coterie.my_groups() security invoker",
        catalog.test_the_security_definer_functions_are_these_and_no_others,
    ),
    "a definer function without a search path": (
        "alter function coterie.my_groups() reset search_path",
        catalog.test_the_security_definer_functions_are_these_and_no_others,
    ),
    "a function without a search path": (
        _OWNED + _FUNCTION.format("stable"),
        catalog.test_every_function_has_an_empty_search_path_and_belongs_to_the_owner,
    ),
    "a function of somebody else": (
        _FUNCTION.format("stable set search_path = ''"),
        catalog.test_every_function_has_an_empty_search_path_and_belongs_to_the_owner,
    ),
    "a versioned function that enters no role": (
        "create function coterie.x_v1() returns integer language plpgsql as $$\nbegin\n  return 1;\nend $$",
        catalog.test_every_versioned_function_begins_by_entering_a_role,
    ),
    "execute for everybody": (
        "grant execute on function coterie.my_groups() to public",
        catalog.test_nothing_is_granted_to_public_or_to_supabases_roles,
    ),
    "a table for everybody": (
        "grant select on coterie.messages to public",
        catalog.test_nothing_is_granted_to_public_or_to_supabases_roles,
    ),
    "a column for everybody": (
        "grant select (seq) on coterie.messages to public",
        catalog.test_nothing_is_granted_to_public_or_to_supabases_roles,
    ),
    "the schema for everybody": (
        "grant usage on schema coterie to public",
        catalog.test_nothing_is_granted_to_public_or_to_supabases_roles,
    ),
    "a table for who logs in": (
        "grant select on coterie.messages to coterie_api",
        catalog.test_tables_are_open_to_the_entered_roles_alone_and_nobody_may_pass_that_on,
    ),
    "a table to pass on": (
        "grant select on coterie.messages to coterie_member with grant option",
        catalog.test_tables_are_open_to_the_entered_roles_alone_and_nobody_may_pass_that_on,
    ),
    "a trigger": (
        "create trigger x before update on coterie.messages execute function suppress_redundant_updates_trigger()",
        catalog.test_there_are_no_triggers_and_no_rules,
    ),
    "a rule": (
        "create rule x as on delete to coterie.messages do instead nothing",
        catalog.test_there_are_no_triggers_and_no_rules,
    ),
    "a helper for who logs in": (
        "grant execute on function coterie.my_groups() to coterie_api",
        catalog.test_the_service_may_execute_the_versioned_functions_and_nothing_else,
    ),
    "a versioned function for a member": (
        "grant execute on function coterie.groups_list_v1(jsonb) to coterie_member",
        catalog.test_the_service_may_execute_the_versioned_functions_and_nothing_else,
    ),
    "an owner above the rules": (
        "alter role coterie_owner bypassrls",
        catalog.test_the_roles_are_what_they_should_be,
    ),
    "a role that logs in": (
        "alter role coterie_member login",
        catalog.test_the_roles_are_what_they_should_be,
    ),
    "who logs in inherits": (
        "alter role coterie_api inherit",
        catalog.test_the_roles_are_what_they_should_be,
    ),
    "who logs in is the owner": (
        "grant coterie_owner to coterie_api",
        catalog.test_the_roles_are_what_they_should_be,
    ),
    "a policy for everybody": (
        "create policy x on coterie.messages using (true)",
        catalog.test_policies_are_for_one_role_each_and_none_is_for_all,
    ),
    "a policy for two": (
        "create policy x on coterie.messages to coterie_member, coterie_system using (true)",
        catalog.test_policies_are_for_one_role_each_and_none_is_for_all,
    ),
    "a member in the identity's tables": (
        "create policy x on coterie.auth_keys to coterie_member using (kid = coterie.my_session())",
        catalog.test_policies_are_for_one_role_each_and_none_is_for_all,
    ),
    "a policy that asks nobody who they are": (
        "create policy x on coterie.messages for select to coterie_member using (true)",
        catalog.test_every_policy_of_a_member_asks_who_it_is,
    ),
    "a policy that lets anybody write": (
        "create policy x on coterie.messages for insert to coterie_member with check (seq > 0)",
        catalog.test_every_policy_of_a_member_asks_who_it_is,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_seen(owner: asyncpg.Connection, fault: str) -> None:
    statement, check = FAULTS[fault]
    await check(owner)
    transaction = owner.transaction()
    await transaction.start()
    try:
        await owner.execute(statement)
        with pytest.raises((AssertionError, IndexError)):
            await check(owner)
    finally:
        await transaction.rollback()


def test_every_check_has_its_fault() -> None:
    """All but those that look at shapes and ask for no rights."""
    checks = {name for name in vars(catalog) if name.startswith("test_")}
    seen = {check.__name__ for _, check in FAULTS.values()}
    assert checks - seen == {
        "test_hot_tables_lead_with_the_group",
        "test_it_applies_as_a_role_that_is_no_superuser",
        "test_the_schema_applies_twice_without_change",
        "test_two_processes_apply_at_once",
    }
