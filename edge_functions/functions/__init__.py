"""The functions: one module each, which exports `app`."""
