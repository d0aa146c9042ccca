"""Which attesters this machine has (docs/protocol.md section 4): the kernel's interface, or older devices.

Never a simulated one: that is named by whoever starts the process, and by nothing that is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enclave_runtime.attestation.guestdev.attest import SevGuestAttester, TdxGuestAttester
from enclave_runtime.attestation.model import Attester, DeviceAttester
from enclave_runtime.attestation.nvidia.attest import find_gpus
from enclave_runtime.attestation.tsm.attest import TsmAttester
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["INTERFACES", "find_attesters"]

INTERFACES: Mapping[str, Callable[[], Attester]] = {
    "configfs-tsm": TsmAttester,
    "/dev/sev-guest": SevGuestAttester,
    "/dev/tdx_guest": TdxGuestAttester,
}
"""What is looked for, in this order; the first that is there counts."""


def find_attesters(
    interfaces: Mapping[str, Callable[[], Attester]] = INTERFACES,
    gpus: Callable[[], DeviceAttester | None] = find_gpus,
) -> tuple[Attester, DeviceAttester | None]:
    """Return the attester of this machine's TEE, and that of its GPUs where it has some.

    Raises:
        EnclaveError: no TEE: names all that was looked for and why it does not serve; or GPUs that fail.
    """
    missing = []
    for name, find in interfaces.items():
        try:
            attester = find()
        except EnclaveError as error:
            missing.append(f"{name} ({error})")
        else:
            return attester, gpus()
    raise EnclaveError(f"platform: found no TEE; looked for {'; '.join(missing)}")
