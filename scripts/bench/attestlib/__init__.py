"""One file per vendor for `scripts/bench/attest.py`: each has `run() -> VendorResult`."""
