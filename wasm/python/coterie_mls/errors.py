"""What the binding raises, named by what the caller does next.

* MlsError
  x Malformed      the bytes are not what they should be: drop them, they will never parse
  x Stale          seen before, or of an epoch that is gone: drop it
  x TooEarly       of an epoch that has not come yet: keep it and try again later
  x WrongGroup     for another group: drop it, and ask why it came here
  x Forged         the cryptography does not hold: report it
  x Unacceptable   valid MLS that breaks a rule of ours (credential, lifetime, certificate): refuse it
  x NotAllowed     not possible in the present state (no such group, a commit is pending, evicted,
                   imported state): change the state first
  x Unsupported    a cipher suite or feature that this build does not have
  x Corrupt        a stored row does not read back: stop, and load a good state
  x Internal       a defect in the library: report it; the call changed nothing
"""


class MlsError(Exception):
    """Base of all errors of this package; `code` is stable, the sentence is not."""

    code = "mls_error"


class Malformed(MlsError):
    """The bytes cannot be parsed, are too large, or have something left over."""

    code = "malformed"


class Stale(MlsError):
    """The message was opened before, or belongs to an epoch that is gone."""

    code = "stale"


class TooEarly(MlsError):
    """The message belongs to an epoch that this group has not reached, or runs too far ahead of its sender."""

    code = "too_early"


class WrongGroup(MlsError):
    """The message names another group."""

    code = "wrong_group"


class Forged(MlsError):
    """A signature, tag or decryption failed."""

    code = "forged"


class Unacceptable(MlsError):
    """Valid MLS that breaks a rule of Coterie's."""

    code = "unacceptable"


class NotAllowed(MlsError):
    """The present state does not allow this call."""

    code = "not_allowed"


class Unsupported(MlsError):
    """This build does not have the cipher suite or feature."""

    code = "unsupported"


class Corrupt(MlsError):
    """A stored row does not read back."""

    code = "corrupt"


class Internal(MlsError):
    """A defect in the library; the call changed nothing."""

    code = "internal"
