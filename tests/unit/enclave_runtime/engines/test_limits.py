import math

import pytest

from enclave_runtime.engines.limits import EngineResult, Reason, SandboxLimits


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, 1 << 62, True, "1"])
@pytest.mark.parametrize("name", ["memory_bytes", "cpu_s", "wall_s", "processes", "output_bytes"])
def test_refuses_limits_that_bound_nothing(name, value):
    with pytest.raises(ValueError, match=name):
        SandboxLimits(**{name: value})


def test_only_an_ok_result_is_ok():
    for reason in Reason:
        result = EngineResult(0, reason, 1.0, b"", 0, 0, 0, 0.0, "")
        assert result.ok is (reason is Reason.OK)
