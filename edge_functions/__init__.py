"""The delivery service: orders and routes messages that it cannot read. It imports nothing of the client."""
