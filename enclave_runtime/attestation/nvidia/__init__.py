"""NVIDIA GPUs and NVSwitches in confidential computing mode: evidence, its layout, and its verifier."""
