"""Running an owner's code on an owner's data without trusting it (docs/protocol.md sections 7(7) and 10).

An engine is untrusted: it gets read-only inputs, one capped output folder, no network and hard limits.
"""
