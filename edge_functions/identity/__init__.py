"""The embedded identity, in the shapes of Supabase Auth: guests, refresh with rotation, sign-out, JWKS."""

from edge_functions.identity.app import ROUTES

__all__ = ["ROUTES"]
