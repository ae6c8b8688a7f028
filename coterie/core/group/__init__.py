"""One group, from key press to ciphertext and back: lines, outbox, commits, inbox."""
