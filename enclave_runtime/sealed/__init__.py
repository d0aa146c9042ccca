"""Content at rest: digested, archived, sealed, opened (docs/protocol.md section 3 and 5.1).

Owners use the same files outside that the trusted loader uses inside, so both directions stay together.
"""
