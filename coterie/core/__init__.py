"""The client's state machine, sans-IO: it waits for nothing, reads no clock and rolls no dice.

`engine.Engine` takes what happened and answers with a `Step`: what to save, and what to do after it is saved.
"""
