"""Invite links as people paste them."""

import pytest

from coterie.core.invite import Link
from coterie.errors import LinkError

GOOD = "https://chat.example/?join=AAECAwQFBgcICQoLDA0ODw#1.EBESExQVFhcYGRobHB0eHw"


def test_a_link_reads_and_spells_itself() -> None:
    link = Link.parse(GOOD)
    assert (link.invite_id, link.secret, link.origin) == (
        bytes(range(16)),
        bytes(range(16, 32)),
        "https://chat.example",
    )
    assert link.url("https://chat.example/") == GOOD


@pytest.mark.parametrize(
    "text",
    [
        f"  {GOOD}\n",
        GOOD.replace("#", "\n#"),
        GOOD.replace("https://chat.example/", "http://localhost:8080/"),
        GOOD.replace("/?join", "/deep/path?utm=1&join"),
    ],
)
def test_what_mail_and_chat_do_to_links_is_understood(text: str) -> None:
    assert Link.parse(text).secret == bytes(range(16, 32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "https://chat.example/",
        GOOD.partition("#")[0],
        GOOD.partition("#")[0] + "#",
        GOOD.partition("#")[0] + "#1.",
        GOOD[:-1],
        GOOD + "A",
        GOOD.replace("#1.", "#1"),
        GOOD.replace("AAEC", "AAE"),
        GOOD.replace("AAEC", "AA+C"),
        GOOD.replace("AAEC", "AA C"),
        GOOD[:-1] + "x",  # the last character has bits that no byte has
        GOOD[:-1] + "é",
        GOOD.replace("?join=", "?join=AAECAwQFBgcICQoLDA0ODw&join="),
        GOOD.replace("join", "invite"),
        "https://[bad/?join=x#1.y",
        "x" * 100_000,
    ],
)
def test_a_damaged_link_is_told_and_shows_nothing_of_the_secret(text: str) -> None:
    with pytest.raises(LinkError) as caught:
        Link.parse(text)
    assert caught.value.code == "bad_link"
    assert "EBES" not in str(caught.value)


def test_a_link_of_a_newer_version_is_told() -> None:
    with pytest.raises(LinkError) as caught:
        Link.parse(GOOD.replace("#1.", "#2."))
    assert caught.value.code == "newer_link"
