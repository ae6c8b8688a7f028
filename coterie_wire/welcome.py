"""For whom a Welcome is (RFC 9420 section 12.4.3.1): the KeyPackageRefs that stand in it in clear."""

from coterie_wire.errors import WireError
from coterie_wire.header import MLS10, WireFormat
from coterie_wire.varint import Reader


def welcome_refs(data: bytes) -> list[bytes]:
    """The KeyPackageRef of everybody whom a Welcome, framed as MLSMessage, lets in. Raises `WireError`."""
    reader = Reader(data)
    if (reader.uint(2), reader.uint(2)) != (MLS10, WireFormat.WELCOME):
        raise WireError("This is not a Welcome.", code="wrong_header")
    reader.uint(2)  # cipher suite
    secrets, refs = Reader(reader.vector()), []
    while not secrets.at_end:
        refs.append(secrets.vector())
        secrets.vector()  # HPKECiphertext: kem_output
        secrets.vector()  # and ciphertext
    reader.vector()  # encrypted_group_info
    reader.end()
    return refs
