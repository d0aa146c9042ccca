"""An archive judged as the one that is mounted where it lies, in memory and without mounting it."""

from __future__ import annotations

import os

from enclave_runtime.sealed.erofs import HEAD_BYTES
from enclave_runtime.sealed.image import make_image
from enclave_runtime.sealed.unpack import Quota
from enclave_runtime.wire.errors import RefusedError

__all__ = ["refusal_as_image"]


def refusal_as_image(data: bytes, quota: Quota) -> str | None:
    """Return the step at which an archive is refused that would be mounted where it lies, or None."""
    descriptor = os.memfd_create("image")
    try:
        os.pwrite(descriptor, data, HEAD_BYTES)
        make_image(descriptor, len(data), quota)
    except RefusedError as refusal:
        assert not any(os.pread(descriptor, HEAD_BYTES, 0)), "no image of what was refused"
        return refusal.step
    else:
        assert os.pread(descriptor, len(data), HEAD_BYTES) == data and any(
            os.pread(descriptor, HEAD_BYTES, 0)
        )
        return None
    finally:
        os.close(descriptor)
