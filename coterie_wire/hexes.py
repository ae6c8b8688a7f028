"""Binary values in JSON: lower-case hexadecimal, nothing else (one value has one spelling)."""

from coterie_wire.errors import WireError


def to_hex(data: bytes) -> str:
    """Lower-case hex of `data`."""
    return data.hex()


def from_hex(
    text: object, *, name: str = "value", size: int | None = None, at_most: int | None = None
) -> bytes:
    """The bytes that `text` spells.

    `size` is the exact number of bytes, `at_most` the largest. The length is looked at before anything is decoded.
    Raises `WireError` (`malformed`, or `too_large` above `at_most`).
    """
    if not isinstance(text, str) or len(text) % 2:
        raise WireError(f"{name} must be lower-case hex.")
    if at_most is not None and len(text) > 2 * at_most:
        raise WireError(f"{name} must be at most {at_most} bytes.", code="too_large")
    if size is not None and len(text) != 2 * size:
        raise WireError(f"{name} must be {size} bytes.")
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise WireError(f"{name} must be lower-case hex.") from None
    if data.hex() != text:  # `fromhex` takes capitals and white space too
        raise WireError(f"{name} must be lower-case hex.")
    return data
