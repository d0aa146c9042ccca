"""SIMULATED NVIDIA devices: a GPU's or NVSwitch's bytes, manifests and OCSP, under roots of its own.

Written from the layouts, not with the verifier's code: what one misreads, the other does not repeat.
"""
