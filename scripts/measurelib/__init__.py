"""What `scripts/measure_runtime.py` computes of a real TDX image; see `image`."""
