"""Fixtures for every suite."""

import signal

from tests.support.issuer import issuer
from tests.support.server import database, make_database, make_service, postgres_url, service

__all__ = ["database", "issuer", "make_database", "make_service", "postgres_url", "service"]

# A shell's background jobs start with SIGINT ignored, their children inherit that, and Ctrl-C is under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
