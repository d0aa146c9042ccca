"""CBOR and COSE_Sign1 as attestation documents use them, read in one way only (RFC 8949, RFC 9052)."""
