"""Every setting of the service, in one validated table. Values come from the environment.

`docs/settings.md` is this table (`python -m edge_functions settings`); a test holds it to the code.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_functions.environment import (
    Network,
    SettingsError,
    address,
    long_secret,
    networks,
    one_of,
    origin,
    origins,
    path,
    postgres,
    read,
    setting,
)


def _data_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "coterie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are in seconds."""

    host: str = setting("HOST", "127.0.0.1", "address to listen on")
    port: int = setting(
        "PORT", 8080, "port to listen on; the next free one is taken when it is in use", 1, 65535
    )
    data: Path = setting(
        "COTERIE_DATA",
        _data_folder,
        "folder of the embedded Postgres",
        parse=path,
        shown="$XDG_DATA_HOME/coterie",
    )
    site: Path = setting(
        "COTERIE_SITE",
        lambda: Path(__file__).parent.parent / "dist" / "site",
        "folder of the built page",
        parse=path,
        shown="dist/site, of the checkout",
    )
    public_url: str | None = setting(
        "PUBLIC_URL", None, "the origin that browsers use, for example https://chat.example", parse=origin
    )
    tls_certificate: Path | None = setting(
        "COTERIE_TLS_CERTIFICATE",
        None,
        "PEM file of an own certificate (with its chain), to serve https without a proxy",
        parse=path,
    )
    tls_key: Path | None = setting(
        "COTERIE_TLS_KEY",
        None,
        "PEM file of its private key; without it the key is looked for in the same file",
        parse=path,
    )
    database_url: str | None = setting(
        "DATABASE_URL",
        None,
        "Postgres to use, instead of the embedded one: as a user that may apply the schema, or as coterie_api "
        "when it is applied",
        parse=postgres,
        secret=True,
    )
    supabase_url: str | None = setting(
        "SUPABASE_URL", None, "trust this project's Supabase Auth instead of the own one", parse=origin
    )
    supabase_jwt_secret: str | None = setting(
        "SUPABASE_JWT_SECRET",
        None,
        "that project's legacy JWT secret, if it still signs with HS256; without it such tokens are refused",
        parse=long_secret,
        secret=True,
    )
    trusted_proxies: tuple[Network, ...] = setting(
        "COTERIE_TRUSTED_PROXIES",
        (),
        "addresses or networks, with commas, of proxies whose X-Forwarded-For and X-Request-Id are believed",
        parse=networks,
    )
    log: str | None = setting(
        "COTERIE_LOG",
        None,
        "json (an object a line) or text; without it text on a terminal and json elsewhere",
        parse=one_of("json", "text"),
    )
    log_level: str | None = setting(
        "COTERIE_LOG_LEVEL",
        None,
        "debug, info (a line for each call of a function), warning or error; without it info as json and warning "
        "as text",
        parse=one_of("debug", "info", "warning", "error"),
    )
    metrics: tuple[str, int] | None = setting(
        "COTERIE_METRICS",
        None,
        "address and port of /metrics for Prometheus, for example 127.0.0.1:9090; without it there is none",
        parse=address,
    )
    pool_size: int = setting("COTERIE_POOL", 10, "database connections", 1, 1000)
    token_seconds: int = setting("COTERIE_TOKEN_SECONDS", 3600, "life of an access token", 1, 86400)
    token_cache_seconds: float = setting(
        "COTERIE_TOKEN_CACHE_SECONDS", 60.0, "a verified token is remembered so long", 0, 60
    )
    refresh_reuse_seconds: float = setting(
        "COTERIE_REFRESH_REUSE_SECONDS", 10.0, "a used refresh token may come again so long", 0, 3600
    )
    passkey_seconds: float = setting(
        "COTERIE_PASSKEY_SECONDS", 300.0, "a passkey challenge must be answered within", 0.001, 3600
    )
    passkey_origins: tuple[str, ...] = setting(
        "COTERIE_PASSKEY_ORIGINS",
        (),
        "origins, with commas, of further pages that may use the passkeys of PUBLIC_URL's host",
        parse=origins,
    )
    key_days: float = setting(
        "COTERIE_KEY_DAYS", 90.0, "days after which another key signs the tokens", 0.000001, 3650
    )
    key_lead_seconds: float = setting(
        "COTERIE_KEY_LEAD_SECONDS", 900.0, "a new signing key is published so long before it signs", 0, 86400
    )
    key_check_seconds: float = setting(
        "COTERIE_KEY_CHECK_SECONDS", 60.0, "the signing keys are read from the database so often", 0, 3600
    )
    jwks_cache_seconds: float = setting(
        "COTERIE_JWKS_CACHE_SECONDS", 600.0, "Supabase's keys are remembered so long"
    )
    jwks_cooldown_seconds: float = setting(
        "COTERIE_JWKS_COOLDOWN_SECONDS",
        10.0,
        "and fetched at most so often; so are the own ones for an unknown key id",
    )
    claim_seconds: float = setting("COTERIE_CLAIM_SECONDS", 10.0, "a claim on a join lapses after", 0.001)
    claim_lockout_seconds: float = setting(
        "COTERIE_CLAIM_LOCKOUT_SECONDS", 60.0, "who let a claim lapse may not claim again for"
    )
    commit_group_seconds: float = setting(
        "COTERIE_COMMIT_GROUP_SECONDS", 2.0, "between commits that change no roster, per group"
    )
    commit_device_seconds: float = setting("COTERIE_COMMIT_DEVICE_SECONDS", 60.0, "the same, per device")
    pause_seconds: float = setting(
        "COTERIE_PAUSE_SECONDS", 0.5, "commits of others wait so long when asked to"
    )
    pause_gap_seconds: float = setting("COTERIE_PAUSE_GAP_SECONDS", 10.0, "between such requests of a device")
    hello_seconds: float = setting(
        "COTERIE_HELLO_SECONDS", 5.0, "a socket without hello is closed after", 0.001
    )
    ack_seconds: float = setting("COTERIE_ACK_SECONDS", 1.0, "acks of a socket are written at most so often")
    listen_retry_seconds: float = setting(
        "COTERIE_LISTEN_RETRY_SECONDS", 0.25, "between attempts to listen again", 0.001
    )
    queue_frames: int = setting("COTERIE_QUEUE_FRAMES", 2000, "frames that may wait for a slow socket", 1)
    queue_bytes: int = setting("COTERIE_QUEUE_BYTES", 8 * 2**20, "and their size, beside the largest", 1)
    queues_bytes: int = setting(
        "COTERIE_QUEUES_BYTES",
        256 * 2**20,
        "and that of all sockets of a process; the slowest is closed to keep it",
        1,
    )
    stall_seconds: float = setting(
        "COTERIE_STALL_SECONDS",
        30.0,
        "a socket whose peer has not taken a frame whole is closed after",
        0.001,
    )
    sockets_session: int = setting(
        "COTERIE_SOCKETS_SESSION", 10, "open sockets of a session, in a process", 1
    )
    sockets_user: int = setting("COTERIE_SOCKETS_USER", 50, "open sockets of a user, in a process", 1)
    sockets_address: int = setting(
        "COTERIE_SOCKETS_ADDRESS", 1000, "open sockets of an address, in a process", 1
    )
    limit_calls: int = setting(
        "COTERIE_LIMIT_CALLS",
        12000,
        "calls of functions without a limit of their own, per user and minute",
        1,
    )
    limit_sends: int = setting("COTERIE_LIMIT_SENDS", 6000, "messages, per user and minute", 1)
    limit_commits: int = setting(
        "COTERIE_LIMIT_COMMITS", 600, "commits and new groups, per user and minute", 1
    )
    limit_claims: int = setting("COTERIE_LIMIT_CLAIMS", 600, "claims of joins, per user and minute", 1)
    limit_packages: int = setting(
        "COTERIE_LIMIT_PACKAGES", 300, "claims of key packages, per user and hour", 1
    )
    limit_invites: int = setting("COTERIE_LIMIT_INVITES", 300, "new invites, per user and hour", 1)
    limit_joins: int = setting(
        "COTERIE_LIMIT_JOINS", 300, "look-ups of invites and joins by them, per user and hour", 1
    )
    limit_sockets: int = setting("COTERIE_LIMIT_SOCKETS", 120, "sockets opened, per user and minute", 1)
    limit_refreshes: int = setting("COTERIE_LIMIT_REFRESHES", 600, "refreshes, per address and minute", 1)
    limit_passkeys: int = setting(
        "COTERIE_LIMIT_PASSKEYS", 300, "passkey attempts, per address and minute", 1
    )
    limit_address: int = setting(
        "COTERIE_LIMIT_ADDRESS", 20, "an address may do so many times what one user may", 1
    )
    limit_frames: int = setting(
        "COTERIE_LIMIT_FRAMES", 6000, "frames of a client that are read at once, per session and minute", 1
    )
    limit_sign_ups: int = setting(
        "COTERIE_LIMIT_SIGN_UPS", 300, "new guests, per address and hour, over all processes", 1
    )
    limit_guesses: int = setting(
        "COTERIE_LIMIT_GUESSES",
        10,
        "look-ups of invites that fail, per address and minute, over all processes",
        1,
    )
    limit_lookups: int = setting(
        "COTERIE_LIMIT_LOOKUPS", 1000, "look-ups of an invite, per invite and hour, over all processes", 1
    )
    header_seconds: float = setting(
        "COTERIE_HEADER_SECONDS", 10.0, "a request's headers must have come within", 0.001
    )
    body_seconds: float = setting("COTERIE_BODY_SECONDS", 120.0, "and its body", 0.001)
    retention_acked_days: float = setting(
        "COTERIE_RETENTION_ACKED_DAYS", 7.0, "ciphertext that every device has acknowledged is kept so long"
    )
    retention_days: float = setting(
        "COTERIE_RETENTION_DAYS", 180.0, "any ciphertext is kept so long; 0: until all have acknowledged it"
    )
    retention_spent_days: float = setting(
        "COTERIE_RETENTION_SPENT_DAYS",
        30.0,
        "finished joins, ended invites, and sessions that ended are kept so long",
    )
    retention_welcome_days: float = setting(
        "COTERIE_RETENTION_WELCOME_DAYS", 90.0, "a Welcome that nobody fetched is kept so long"
    )
    retention_seconds: float = setting(
        "COTERIE_RETENTION_SECONDS", 3600.0, "between sweeps of retention", 0.001
    )
    drain_seconds: float = setting(
        "COTERIE_DRAIN_SECONDS",
        0.0,
        "from SIGTERM until no more connections are taken: /ready says 503 meanwhile, for balancers to notice",
        0,
        3600,
    )
    shutdown_seconds: int = setting(
        "COTERIE_SHUTDOWN_SECONDS", 5, "then, open requests may take so long to end", 0, 3600
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and check all of them. Raises `SettingsError` with every fault."""
        settings = cls(**read(cls, os.environ if environment is None else environment))
        if faults := settings._at_odds():
            raise SettingsError("\n".join(faults))
        return settings

    def _at_odds(self) -> list[str]:
        """A sentence for each setting that another one makes useless."""
        faults = []
        if self.supabase_jwt_secret and not self.supabase_url:
            faults.append("SUPABASE_JWT_SECRET says nothing without SUPABASE_URL.")
        if self.tls_key and not self.tls_certificate:
            faults.append("COTERIE_TLS_KEY says nothing without COTERIE_TLS_CERTIFICATE.")
        # WebAuthn level 3, section 5.1.3: the RP ID
        host = urlsplit(self.public_url or "http://localhost").hostname
        strangers = [
            one for one in self.passkey_origins if not f".{urlsplit(one).hostname}".endswith(f".{host}")
        ]
        return faults + [
            f"COTERIE_PASSKEY_ORIGINS: {one} cannot use the passkeys of PUBLIC_URL's host."
            for one in strangers
        ]
