"""The ways to the service: providers of `coterie.ports.Transport`, strangers to one another."""
