"""The public API is a list, and what is in it is there."""

import inspect
import types

import coterie
from coterie import errors
from coterie.backup import Backups

OPERATIONS = [
    "backup_begin",
    "backup_read",
    "restore_begin",
    "restore_check",
    "restore_write",
    "restore_end",
    *(
        "start",
        "set_name",
        "create_group",
        "open_group",
        "send_text",
        "discard_line",
        "mark_read",
        "sign_out",
    ),
    *(
        "create_invite",
        "list_invites",
        "revoke_invite",
        "preview_link",
        "join",
        "cancel_join",
        "dismiss_join",
    ),
    *("remove_member", "leave_group", "forget_group", "export_state", "import_state"),
]


def public_names(module: types.ModuleType) -> list[str]:
    """Names without an underscore that are no modules."""
    return [
        name
        for name, value in vars(module).items()
        if name[0] != "_" and not isinstance(value, types.ModuleType)
    ]


def test_all_is_what_is_public() -> None:
    assert coterie.__all__ == sorted(public_names(coterie))


def test_every_error_is_public_and_says_what_it_is() -> None:
    ours = [value for value in vars(errors).values() if getattr(value, "__module__", "") == errors.__name__]
    assert len(ours) == 12
    for error in ours:
        assert error.__name__ in coterie.__all__
        assert error.__doc__
        assert issubclass(error, coterie.CoterieError)


def test_the_operations_of_the_bridge_are_methods_with_keywords() -> None:
    for name in OPERATIONS:
        method = getattr(Backups if name.startswith(("backup_", "restore_")) else coterie.Client, name)
        assert inspect.iscoroutinefunction(method)
        assert method.__doc__
        parameters = list(inspect.signature(method).parameters.values())[1:]
        assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters)
