"""Where ciphertext lies: one Protocol, a visible table of schemes (docs/protocol.md sections 3 and 10).

Stores hold ciphertext and public manifests only, and nobody believes them: what comes back is compared with
digests that the chain leads to.
"""
