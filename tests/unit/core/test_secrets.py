"""What must not be seen is in no repr, message, traceback or log."""

import logging
import traceback

import pytest

import coterie_mls
from coterie.core import content as contents
from coterie.core.device import session_from
from coterie.core.effects import Show, Step
from coterie.core.invite import Keys, Link
from coterie.core.records import Group, Invite, Join, Line, Outgoing, Session, group_key
from coterie.errors import CoterieError
from coterie.ports import Answer
from tests.support.friends import friends
from tests.support.post_office import PostOffice


def spellings(secret: bytes) -> list[str]:
    """How a secret could show."""
    return [repr(secret)[2:-1][:12], secret.hex()[:12]]


def test_reprs_hide_tokens_keys_and_plaintext(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    other, (carol,) = friends(office, "Carol")
    link = carol.invite(other)
    parsed = Link.parse(link)
    office.pump()
    alice.ask(link, "Alice")
    alice.send(group_id, "plaintext")
    invite = Invite.decode(next(iter(carol.rows["invites"].values())))
    join = Join.decode(next(iter(alice.rows["joins"].values())))
    keys = Keys.derive(coterie_mls, parsed.invite_id, parsed.secret)
    session = Session(
        access_token="tok-access", refresh_token="tok-refresh", expires_at=0, user_id="u", session_id="s"
    )
    line = Line(
        id="1", rev=1, modified_at=1, group_id=group_id, seq=1, index=0, sender="", at=0, content=b"plaintext"
    )
    shown = repr(
        [
            Answer(200, {"access_token": session.access_token}),
            invite,
            join,
            keys,
            parsed,
            session,
            line,
            alice.outbox(),
            contents.decode(alice.outbox()[-1].content),
        ]
    )
    hidden = [parsed.secret, keys.preview, keys.tag, keys.welcome, invite.secret, join.secret]
    for secret in [one for key in hidden for one in spellings(key)]:
        assert secret not in shown
    for word in ("tok-access", "tok-refresh", "plaintext"):
        assert word not in shown


def test_what_was_said_last_is_in_no_repr_of_its_group_or_of_a_turn(office: PostOffice) -> None:
    group_id, (alice, bob) = friends(office, "Alice", "Bob")
    step, _ = alice.engine.send_text(group_id, "plaintext", office.now)
    row = step.changes["groups", group_key(group_id)]
    assert row
    group = Group.decode(row)
    assert group.last_text == "plaintext"
    assert any(isinstance(effect, Show) and "plaintext" in str(effect.event) for effect in step.effects)
    assert "plaintext" not in repr([group, step])
    assert "plaintext" not in repr(Step({("groups", b"k"): b"plaintext"}))


def test_errors_and_logs_hide_links_and_tokens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "EBESExQVFhcYGRobHB0eHw"
    attempts = [
        lambda: Link.parse(f"https://x.example/?join=AAEC#1.{secret}"),
        lambda: Link.parse(f"https://x.example/?join=AAECAwQFBgcICQoLDA0ODw#1.{secret}x"),
        lambda: session_from({"access_token": "tok-a.b.c", "refresh_token": "tok-r", "user": {"id": "u"}}),
        lambda: session_from({"access_token": "tok-a", "refresh_token": 7, "user": {}}),
    ]
    for attempt in attempts:
        with pytest.raises(CoterieError) as caught:
            attempt()
        told = "".join(traceback.format_exception(caught.value))
        assert secret not in told.replace(f"#1.{secret}", "")  # the test's own line is in the traceback
        assert "tok-a.b" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert caplog.text == ""


def test_an_outbox_row_says_what_it_is(office: PostOffice) -> None:
    row = Outgoing(lane=bytes(16), order=3, kind="call", function="invite_join", fields={"kp_hex": b"\x01"})
    assert repr(row) == "Outgoing(invite_join, 3)"
