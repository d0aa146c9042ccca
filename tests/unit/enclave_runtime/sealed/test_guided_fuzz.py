"""What reads sealed content under atheris: `tests/fakes/fuzz_sealed.py` in processes of its own (section 10).

Hypothesis tries the same structures without looking where they lead (`test_hostile_structures`); this goes on
from whatever reached new code. A few hundred cases run always, 450,000 under the `heavy` mark.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).resolve().parents[3] / "fakes" / "fuzz_sealed.py"
RAW = ("tar", "manifest")
STRUCTURED = ("containers", "archives", "tar-headers", "stream-headers", "tensor-files")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python: see dev.in"
)


def fuzz(target: str, runs: int, folder: Path) -> None:
    words = [
        sys.executable,
        str(FUZZER),
        target,
        f"-runs={runs}",
        f"-artifact_prefix={folder}/",
        "-rss_limit_mb=1024",
    ]
    done = subprocess.run(words, capture_output=True, cwd=folder)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said[-4000:]
    found = re.search(r"INITED cov: (\d+)", said)
    assert found and int(found[1]) > 4, f"nothing of ours was looked at: {said[-1000:]}"
    ended = re.search(r"Done (\d+) runs", said)
    assert ended and int(ended[1]) >= runs, said[-1000:]


@pytest.mark.parametrize("target", RAW)
def test_guided_fuzz_finds_nothing_in_a_few_cases(target: str, tmp_path: Path) -> None:
    fuzz(target, 500, tmp_path)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", RAW)
def test_guided_fuzz_of_bytes(target: str, tmp_path: Path) -> None:
    fuzz(target, 100_000, tmp_path)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", STRUCTURED)
def test_guided_fuzz_of_structures(target: str, tmp_path: Path) -> None:
    fuzz(target, 50_000, tmp_path)
