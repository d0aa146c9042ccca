"""Whether the host can stretch this guest's clock (docs/protocol.md section 5.1: grants end by it).

The loader counts a grant's time on CLOCK_BOOTTIME. In a guest that is the host's to bend, unless the kernel
takes it from a time stamp counter that the hardware keeps from the host:

* Intel TDX: the module sets frequency and offset once, at the TD's birth, and RDTSC never leaves the TD.
* AMD SEV-SNP: only with Secure TSC, which the guest reads in SEV_STATUS, a register that no host intercepts.

The kernel must use that counter: `kvm-clock` and the like are pages that the host writes. This is read from
the kernel, which is measured, by the runtime, which is measured: whoever believes their measurements may
believe the word in its reports. Nothing in a TDX quote or SNP report says it by itself. Whatever cannot be
read counts as the host's clock.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from enclave_runtime.attestation.model import TeeKind

__all__ = ["SECURE_TSC", "SEV_STATUS", "is_clock_protected"]

SEV_STATUS: Final = 0xC0010131
"""Number of the model-specific register that says which SEV features a guest runs with."""
SECURE_TSC: Final = 1 << 11
_SOURCE: Final = "sys/devices/system/clocksource/clocksource0/current_clocksource"
_REGISTERS: Final = "dev/cpu/0/msr"


def is_clock_protected(tee: TeeKind, root: Path = Path("/")) -> bool:
    """Return whether the clock of this guest of a real `tee` is kept from its host.

    Args:
        root: where `/sys` and `/dev` are.
    """
    try:
        if (root / _SOURCE).read_text().strip() != "tsc":
            return False
        return tee is TeeKind.TDX or (tee is TeeKind.SEV_SNP and _has_secure_tsc(root))
    except (OSError, UnicodeDecodeError):
        return False


def _has_secure_tsc(root: Path) -> bool:
    descriptor = os.open(root / _REGISTERS, os.O_RDONLY)
    try:
        value = os.pread(descriptor, 8, SEV_STATUS)
    finally:
        os.close(descriptor)
    return len(value) == 8 and bool(int.from_bytes(value, "little") & SECURE_TSC)
