"""Reading MLS structures: fixed-size integers and vectors with a variable-size length (RFC 9420 section 2.1.2)."""

from coterie_wire.errors import WireError


class Reader:
    """A position in bytes; every `take` moves it on and raises `WireError` when the bytes end too early."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self._at + length
        if end > len(self._data):
            raise WireError("The MLS message ends too early.")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def uint(self, length: int) -> int:
        """The next unsigned big-endian integer of `length` bytes."""
        return int.from_bytes(self.take(length), "big")

    def varint(self) -> int:
        """A length: 1, 2 or 4 bytes, the two highest bits say which; only the shortest form is valid."""
        first = self.uint(1)
        prefix, value = first >> 6, first & 0x3F
        if prefix == 3:
            raise WireError("A length in the MLS message has an invalid prefix.")
        for _ in range((1 << prefix) - 1):
            value = value << 8 | self.uint(1)
        if prefix and value < 1 << (8 * (1 << (prefix - 1)) - 2):
            raise WireError("A length in the MLS message is not in its shortest form.", code="not_canonical")
        return value

    def vector(self) -> bytes:
        """An `opaque<V>`."""
        return self.take(self.varint())

    def rest(self) -> bytes:
        """Everything that is left; the position stays."""
        return self._data[self._at :]

    @property
    def at_end(self) -> bool:
        """True when nothing is left."""
        return self._at == len(self._data)

    def end(self) -> None:
        """Raise `WireError` when something is left over."""
        if not self.at_end:
            raise WireError("Bytes follow the MLS message.", code="trailing_bytes")


def encode_varint(value: int) -> bytes:
    """The shortest form of a length (RFC 9420 section 2.1.2). Raises `WireError` from 2^30 on."""
    for prefix, length in enumerate((1, 2, 4)):
        if 0 <= value < 1 << (8 * length - 2):
            return (value | prefix << (8 * length - 2)).to_bytes(length, "big")
    raise WireError("A length must be from 0 to 2^30 - 1.")


def encode_vector(data: bytes) -> bytes:
    """`data` as an `opaque<V>`."""
    return encode_varint(len(data)) + data
