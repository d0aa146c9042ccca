"""A SIMULATED vendor and platform: real formats, real measurement, no hardware (docs/protocol.md 4.4).

The same verifier judges its quotes; only the root differs. Nothing outside this package imports it but the
CVM's attester slot, the provider that starts a platform, and tests; no release profile contains it.
"""
