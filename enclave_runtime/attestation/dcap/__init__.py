"""Byte layouts of Intel DCAP that TDX, SGX and the simulated platform share (docs/protocol.md 4.2)."""
