"""Fixtures for every suite."""

from tests.support.server import database, make_database, make_service, postgres_url, service

__all__ = ["database", "make_database", "make_service", "postgres_url", "service"]
