"""Given `state`, `rows`, `group`, `authenticator` and `message`: a device made elsewhere reads here."""

from coterie_mls import Backend

g = globals()
group = bytes.fromhex(g["group"])
copy = Backend.import_state(bytes.fromhex(g["state"]))
moved = Backend.load({bytes.fromhex(key): bytes.fromhex(row) for key, row in g["rows"].items()})
for backend in (copy, moved):
    assert backend.epoch_authenticator(group).hex() == g["authenticator"]
    assert backend.process(group, bytes.fromhex(g["message"])).data == b"from CPython"
assert copy.read_only
assert not moved.read_only
assert moved.encrypt(group, b"the same device, on another machine")

"done"
