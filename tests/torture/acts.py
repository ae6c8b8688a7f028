"""What the people of a play do, act by act; in each of them Vera is killed a few times."""

from __future__ import annotations

import itertools

from tests.torture.play import Play
from tests.torture.stage import Actor

GROUP = "Friends"


def perform_in_browser(play: Play, points: int, *, short: bool = False) -> None:
    """The same people, for a page that takes seconds to open: fewer acts of more lives. `short`: only talk."""
    share = points // 10
    link = begin(play, share)
    if not short:
        talk(play, share)
        hear(play, share)
        nick = play.stage.actor("Nick")
        nick.wake()
        admit(play, nick, link, share)
        play.others.append(nick)
        play.dice.choice((farewell, remove))(play, nick, share)
        away(play, share)
    _go_on(play, points, max(share, 2))
    play.witnesses_speak()


def perform(play: Play, points: int, *, fault: str = "", short: bool = False) -> None:
    """The whole play: about `points` kills. `short`: only talk; `fault`: Vera's client has it once all are there."""
    share = max(points // 20, 1)
    begin(play, share)
    play.stage.fault = fault
    if not short:
        middle(play, share)
    _go_on(play, points, 2 * share)
    play.witnesses_speak()


def begin(play: Play, share: int) -> str:
    """A group, its link, and a witness before all others."""
    link = found(play, share)
    play.witness_comes(play.wanda, link, play.group, play.vera)
    play.bob.wake()
    admit(play, play.bob, link, share)
    return link


def middle(play: Play, share: int) -> None:
    """Everything that people do with each other."""
    talk(play, share)
    hear(play, share)
    nick, nora = play.stage.actor("Nick"), play.stage.actor("Nora")
    nick.wake()
    admit(play, nick, invite(play, share), share)
    play.others.append(nick)
    talk(play, share)
    farewell(play, nick, share)
    nora.wake()
    hers = enter(play, nora, share)
    add(play, nora, share)
    play.others.append(nora)
    talk(play, share)
    remove(play, nora, share)
    depart(play, nora, hers, share)
    away(play, share)


def found(play: Play, kills: int) -> str:
    """Vera's first start: session, device, name, a group, its link."""

    def script() -> None:
        play.vera.order("create", name=GROUP)

    play.act("found", kills, script)
    play.group = str((play.vera.did("create") or {})["group"])
    play.users["Vera"] = play.vera.ask("who")["user"]
    return invite(play, kills)


def invite(play: Play, kills: int) -> str:
    """A link."""
    play.act("invite", kills, lambda: play.vera.order("invite", group=play.group))
    return str((play.vera.did("invite") or {})["link"])


def admit(play: Play, newcomer: Actor, link: str, kills: int) -> None:
    """Somebody comes by a link; whoever is there lets them in, and often only Vera is."""
    play.users[newcomer.name] = newcomer.ask("who")["user"]
    alone = play.bob.alive and newcomer is not play.bob and play.dice.random() < 0.5
    if alone:
        play.bob.end()
    play.vera.kill()
    newcomer.order("join", link=link, name=newcomer.name)
    user = play.users[newcomer.name]
    play.act("admit", kills, lambda: play.vera.order("member", group=play.group, user=user, there=True))
    play.enter(newcomer, link)
    _back(play)
    play.settle(play.group, play.vera, play.bob, *play.others, newcomer)


def talk(play: Play, kills: int) -> None:
    """Both talk at once."""

    def script() -> None:
        play.say(play.vera, play.dice.randint(1, 3))

    play.act("talk", kills, script, lambda: play.say(play.bob, play.dice.randint(0, 2)))
    _all_well(play)


def hear(play: Play, kills: int) -> None:
    """Others talk while Vera listens."""

    def meanwhile() -> None:
        for one in (play.bob, *play.others):
            play.say(one, 2)

    play.act("hear", kills, lambda: None, meanwhile)
    _all_well(play)


def away(play: Play, kills: int) -> None:
    """Others talk, then Vera comes and catches up."""

    def script() -> None:
        play.say(play.vera)

    def meanwhile() -> None:
        play.say(play.bob, 3)
        play.bob.ask("rest")

    play.vera.kill()
    for _ in range(3):
        meanwhile()
    play.act("away", kills, script, meanwhile)
    _all_well(play)


def farewell(play: Play, leaver: Actor, kills: int) -> None:
    """Somebody leaves; the others commit it, or Vera alone."""
    alone = play.dice.random() < 0.5
    play.vera.kill()
    leaver.ask("leave", group=play.group)
    leaver.end()
    play.others.remove(leaver)
    if alone:
        play.bob.end()
    user = play.users[leaver.name]
    play.act("farewell", kills, lambda: play.vera.order("member", group=play.group, user=user, there=False))
    _back(play)
    _all_well(play)


def enter(play: Play, host: Actor, kills: int) -> str:
    """Vera herself comes in by a link, into a group of somebody else's; that group."""
    play.users[host.name] = host.ask("who")["user"]
    group = str(host.ask("create", name="Elsewhere")["group"])
    link = str(host.ask("invite", group=group)["link"])
    play.witness_comes(play.stage.actor("Walter"), link, group, host)
    play.act("enter", kills, lambda: play.vera.order("join", link=link, name="Vera"))

    def script() -> None:
        play.say(play.vera, 1, group)

    play.act("talk elsewhere", kills, script, lambda: play.say(host, 1, group))
    play.settle(group, host, play.vera)
    return group


def add(play: Play, person: Actor, kills: int) -> None:
    """Vera adds somebody whom she knows, without a link."""
    person.ask("stocked")
    person.order("accept", group=play.group)
    user = play.users[person.name]
    play.act("add", kills, lambda: play.vera.order("add", group=play.group, user=user))
    person.ask("rest")
    play.settle(play.group, play.vera, play.bob, *play.others, person)


def remove(play: Play, person: Actor, kills: int) -> None:
    """Vera removes somebody, who stays in her other group."""
    user = play.users[person.name]
    play.others.remove(person)
    play.act("remove", kills, lambda: play.vera.order("remove", group=play.group, user=user))
    _all_well(play)


def depart(play: Play, host: Actor, group: str, kills: int) -> None:
    """Vera leaves the other's group."""
    play.act("depart", kills, lambda: play.vera.order("leave", group=group))
    host.ask("member", group=group, user=play.users["Vera"], there=False)
    host.end()


def _go_on(play: Play, points: int, each: int) -> None:
    """Talk and listen in turn until all kills are done."""
    acts = itertools.cycle((talk, hear))
    while (left := points - sum(play.outcome.points.values())) > 0:
        next(acts)(play, min(left, each))


def _back(play: Play) -> None:
    if not play.bob.alive:
        play.bob.wake()


def _all_well(play: Play) -> None:
    play.settle(play.group, play.vera, play.bob, *play.others)
