"""Official MLS vectors (mlswg/mls-implementations, as redistributed by OpenMLS), and mutations of them.

They lie beside the checkout. Their groups have none of our extensions and their key packages have run out, so
they are played with the test build, whose own rules can be switched off; OpenMLS's checks stay on.
"""

import functools
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from coterie_mls import Corrupt, Internal, Malformed, MlsError, Unsupported
from tests.support import mls_hooks

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
MISSING = f"the official vectors are not there: {VECTORS}"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason=MISSING)

FRAMED = (
    "mls_welcome",
    "mls_group_info",
    "mls_key_package",
    "public_message_application",
    "public_message_proposal",
    "public_message_commit",
    "private_message",
)


@functools.cache
def read(name: str) -> Any:
    path = VECTORS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    return mls_hooks.load()


def passive_client(hooks: ModuleType, scenario: dict[str, Any]) -> Any:
    """A device with the scenario's key package and PSKs."""
    client = hooks.Backend.create("passive")
    hooks.kat_relax(client)
    keys = [bytes.fromhex(scenario[name]) for name in ("key_package", "init_priv", "encryption_priv")]
    hooks.kat_import_key_package(client, *keys)
    for psk in scenario["external_psks"]:
        hooks.kat_store_psk(client, bytes.fromhex(psk["psk_id"]), bytes.fromhex(psk["psk"]))
    return client


def join(hooks: ModuleType, client: Any, scenario: dict[str, Any]) -> bytes:
    """Enter the scenario's group; its tree is in the Welcome or beside it."""
    welcome = bytes.fromhex(scenario["welcome"])
    tree = scenario["ratchet_tree"]
    joined = hooks.kat_join(client, welcome, bytes.fromhex(tree)) if tree else client.join(welcome)
    group_id: bytes = joined.group_id
    assert client.epoch_authenticator(group_id).hex() == scenario["initial_epoch_authenticator"]
    return group_id


def follow(hooks: ModuleType, client: Any, group_id: bytes, epoch: dict[str, Any]) -> None:
    """Take in the proposals and the commit of one epoch."""
    for proposal in epoch["proposals"]:
        hooks.kat_take_proposal(client, group_id, bytes.fromhex(proposal))
    client.process(group_id, bytes.fromhex(epoch["commit"]))
    assert client.epoch_authenticator(group_id).hex() == epoch["epoch_authenticator"]


def number(scenarios: str) -> range:
    return range(len(read(scenarios)))


def play(hooks: ModuleType, scenario: dict[str, Any]) -> int:
    client = passive_client(hooks, scenario)
    group_id = join(hooks, client, scenario)
    for epoch in scenario["epochs"]:
        follow(hooks, client, group_id, epoch)
    return len(scenario["epochs"])


@pytest.mark.parametrize("index", number("passive-welcome.cs123"))
def test_passive_welcome(hooks: ModuleType, index: int) -> None:
    play(hooks, read("passive-welcome.cs123")[index])


@pytest.mark.parametrize("index", number("passive-handling-commit.cs123"))
def test_passive_handling_commit(hooks: ModuleType, index: int) -> None:
    assert play(hooks, read("passive-handling-commit.cs123")[index]) == 2


def test_passive_random(hooks: ModuleType) -> None:
    [scenario] = read("passive-random.first30.cs1")
    assert play(hooks, scenario) == 30


@pytest.mark.parametrize("index", number("negative-commit-tags"))
def test_a_mutated_commit_is_refused_and_the_good_one_accepted(hooks: ModuleType, index: int) -> None:
    scenario = read("negative-commit-tags")[index]
    client = passive_client(hooks, scenario)
    group_id = join(hooks, client, scenario)
    [epoch] = scenario["epochs"]
    for proposal in epoch["proposals"]:
        hooks.kat_take_proposal(client, group_id, bytes.fromhex(proposal))
    before, authenticator = client.export_state(), client.epoch_authenticator(group_id)
    with pytest.raises(MlsError) as caught:
        client.process(group_id, bytes.fromhex(epoch["commit"]))
    assert not isinstance(caught.value, (Internal, Corrupt)), scenario["_mutation"]
    assert (client.export_state(), client.epoch_authenticator(group_id)) == (before, authenticator)
    client.process(group_id, bytes.fromhex(scenario["_good_commit"]))
    assert client.epoch_authenticator(group_id) != authenticator


@pytest.mark.parametrize("index", number("crash-regressions"))
def test_what_once_crashed(hooks: ModuleType, index: int) -> None:
    """Parsed as every kind that the crate reads, in a group that goes on."""
    data = bytes.fromhex(read("crash-regressions")[index]["bytes_hex"])
    client = hooks.Backend.create("survivor")
    client.bind_device("1")
    group_id = client.create_group(b"")
    for call in (
        lambda: client.process(group_id, data),
        lambda: client.join(data),
        lambda: client.check_key_package(data),
        lambda: client.inspect_group_info(data),
        lambda: client.rejoin(data),
        lambda: hooks.header(data),
        lambda: hooks.kat_round_trip(data),
    ):
        with pytest.raises(Malformed):
            call()
    assert client.encrypt(group_id, b"goes on")


@pytest.mark.parametrize("index", number("messages.first16"))
def test_framed_messages_come_back_byte_for_byte(hooks: ModuleType, index: int) -> None:
    vector = read("messages.first16")[index]
    for name in FRAMED:
        data = bytes.fromhex(vector[name])
        assert hooks.kat_round_trip(data) == data, name


@pytest.mark.parametrize("index", number("messages.first16"))
def test_bare_structures_are_no_messages(hooks: ModuleType, index: int) -> None:
    vector = read("messages.first16")[index]
    bare = [name for name in vector if name not in FRAMED]
    assert len(bare) == 10
    for name in bare:
        with pytest.raises(Malformed):
            hooks.kat_round_trip(bytes.fromhex(vector[name]))


@pytest.mark.parametrize("index", number("passive-welcome.cs4567-skip-or-run"))
def test_suites_that_we_do_not_have(hooks: ModuleType, index: int) -> None:
    scenario = read("passive-welcome.cs4567-skip-or-run")[index]
    client = hooks.Backend.create("passive")
    with pytest.raises(Unsupported):
        client.join(bytes.fromhex(scenario["welcome"]))


@pytest.mark.parametrize("index", range(0, len(read("fuzz-seeds")), 1))
def test_seeds_of_fuzzing_raise_only_what_we_name(hooks: ModuleType, index: int) -> None:
    data = bytes.fromhex(read("fuzz-seeds")[index])
    client = hooks.Backend.create("survivor")
    client.bind_device("1")
    group_id = client.create_group(b"")
    for call in (client.join, client.check_key_package, client.inspect_group_info, client.rejoin):
        with pytest.raises(MlsError) as caught:
            call(data)
        assert not isinstance(caught.value, (Internal, Corrupt))
    with pytest.raises(MlsError) as caught:
        client.process(group_id, data)
    assert not isinstance(caught.value, (Internal, Corrupt))


def test_the_vectors_are_all_there() -> None:
    """63 passive scenarios, 30 mutations, 7 crash inputs, 112 framed messages."""
    assert len(number("passive-welcome.cs123")) + len(number("passive-handling-commit.cs123")) == 63
    assert len(number("negative-commit-tags")) == 30
    assert len(number("crash-regressions")) == 7
    assert len(number("messages.first16")) * len(FRAMED) == 112
