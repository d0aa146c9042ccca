"""The market around the trusted runtime: contracts' client, storage, services, agent and command line.

Direction of imports (docs/architecture.md): cli -> sdk -> {provider | certifier | keybroker} ->
{chain | storage | collateral | sealing} -> domain -> enclave_runtime.{wire, sealed, attestation}.
"""
