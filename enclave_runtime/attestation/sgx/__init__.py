"""Intel SGX: judging enclave quotes (docs/protocol.md section 4.3)."""
