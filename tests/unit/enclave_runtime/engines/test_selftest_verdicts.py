"""What the self-test concludes from a sandbox that does not hold: a runner that lets every probe through."""

import json
import threading

import pytest

from enclave_runtime.engines import selftest
from enclave_runtime.engines.limits import EngineResult, Reason, SandboxError


class LeakySandbox:
    """Every attempt succeeds and no limit ends anything."""

    log = b"64\n"

    def run(self, spec, limits, *, stop: threading.Event, clock):
        log = self.log
        if "CONTAINED" in self._which(spec):
            log = json.dumps(
                {"network": "got a socket of family 2", "outside": "got the host's file"}
            ).encode()
        return EngineResult(0, Reason.OK, 9.0, log, 0, 0, 0, 0.0, "ended by itself")

    def _which(self, spec) -> str:
        return "CONTAINED" if "AF_INET" in spec.argv[-1] else "OTHER"


def test_names_every_limit_that_does_not_hold():
    with pytest.raises(SandboxError) as caught:
        selftest.check(LeakySandbox())
    for name in ("network", "outside", "size-output", "size-log", "cpu", "wall", "processes"):
        assert name in str(caught.value)


def test_a_probe_that_says_nothing_proves_nothing():
    sandbox = LeakySandbox()
    sandbox.log = b""
    sandbox._which = lambda spec: "OTHER"
    found = {result.name: result.works for result in selftest.self_test(sandbox)}
    assert found["contained"] is False
    assert found["size-file"] is False
    assert found["processes"] is False


def test_a_memory_probe_that_was_given_too_much_fails():
    sandbox = LeakySandbox()
    sandbox.log = b"held 512 MiB\n"
    found = {result.name: result for result in selftest.self_test(sandbox)}
    assert not found["memory"].works
