"""AWS Nitro enclaves: attestation documents of the Nitro hypervisor."""
