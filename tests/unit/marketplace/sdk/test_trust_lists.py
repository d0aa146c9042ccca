"""The lists of `[trust]` beside root and measurement: machines, advisories, edition of TCB data (4.3).

An auditor can hold evidence against the same lists as a broker's policy and a certifier's settings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.attestation.dcap import pck
from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.platform import platform_id_hash
from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.wire.codec import hex_of
from marketplace.errors import BadInputError
from marketplace.sdk.attest_policy import accepted
from marketplace.sdk.attest_reading import recognise
from marketplace.sdk.attesting import Line, Outcome, Wanted, judge
from marketplace.sdk.settings import ConfigTable, Trust
from marketplace.sdk.trust import anchor_with
from marketplace.sdk.verdict import Verdict
from marketplace.sdk.verify import verify_order
from marketplace.service.settings import load
from tests.fakes.audited_order import make
from tests.fakes.intel_case import NOW, REPORT_DATA, IntelCase

CASE = IntelCase(Form.TDX_V4, World(advisories=("DEV-SA-7",)))
ELSEWHERE = "0x" + "5a" * 32


def machine(quote: bytes) -> str:
    """Return what a list has to say to name the machine that a quote is of."""
    leaf = pck.parse_chain(parse_quote(quote).signatures.cert_data)[0]
    return hex_of(platform_id_hash(pck.parse_extension(leaf).ppid))


HERE = machine(CASE.evidence.quote)


def trust_file(folder: Path, line: str) -> Path:
    file = folder / "policy.toml"
    measured = f'measurements = ["{hex_of(CASE.measurement())}"]'
    file.write_text(f'[trust]\nroot_set = "{CASE.vendor.roots.id}"\n{measured}\n{line}\n')
    return file


def judged(folder: Path, line: str, *platforms: str) -> VerifiedEvidence | Line:
    """Return the verdict under a policy file with this line, or the step that refused."""
    rules = accepted(trust_file(folder, line), "", [], [], [CASE.vendor.roots.id], platforms)
    found = recognise(CASE.evidence.quote)
    verdict = judge(found, CASE.collateral, rules, Wanted(REPORT_DATA), now=NOW)
    if verdict.verified is not None:
        return verdict.verified
    (refused,) = [line for line in verdict.lines if line.outcome is Outcome.REFUSED]
    return refused


@pytest.mark.parametrize(
    ("line", "platforms"),
    [
        ("", ()),
        (f'platforms = ["{ELSEWHERE}", "{HERE}"]', ()),
        (f'platforms = ["{ELSEWHERE}"]', (HERE,)),  # a flag stands in place of what the file says
        ("min_tcb_eval_number = 20", ()),
        ('rejected_advisories = ["DEV-SA-8"]', ()),
    ],
)
def test_what_the_lists_accept_passes(tmp_path: Path, line: str, platforms: tuple[str, ...]) -> None:
    assert isinstance(judged(tmp_path, line, *platforms), VerifiedEvidence)


@pytest.mark.parametrize(
    ("line", "platforms", "got", "expected"),
    [
        (f'platforms = ["{ELSEWHERE}"]', (), f"platform {HERE}", "one of 1 listed platforms"),
        ("", (ELSEWHERE,), f"platform {HERE}", "one of 1 listed platforms"),
        ("min_tcb_eval_number = 21", (), "TCB evaluation number 20", "at least 21"),
        (
            'rejected_advisories = ["DEV-SA-7"]',
            (),
            "advisories ['DEV-SA-7']",
            "none of the rejected advisories",
        ),
        ("platforms = []", (), "an empty list of platforms", "at least one accepted value"),
    ],
)
def test_what_they_do_not_accept_is_refused_by_name(
    tmp_path: Path, line: str, platforms: tuple[str, ...], got: str, expected: str
) -> None:
    refused = judged(tmp_path, line, *platforms)
    assert isinstance(refused, Line)
    assert (refused.got, refused.expected) == (got, expected)
    assert refused.number == (None if "[]" in line else 4) and refused.todo


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('platforms = ["0x12"]', "trust: platforms"),
        ('platforms = "any"', "trust: platforms"),
        ("min_tcb_eval_number = true", "trust: min_tcb_eval_number"),
        ('rejected_advisories = "DEV-SA-7"', "trust: rejected_advisories"),
    ],
)
def test_lists_of_the_wrong_form_are_refused_with_their_name(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        accepted(trust_file(tmp_path, line), "", [], [], [])
    with pytest.raises(BadInputError, match="--platform"):
        accepted(None, "", [], [], [], ["0x12"])


def test_an_order_that_ran_on_another_machine_does_not_verify(tmp_path: Path) -> None:
    order = make()

    def verdict(line: str) -> Verdict:
        trust = Trust.take(ConfigTable.of(load(trust_file(tmp_path, line))))
        own = order.anchor
        believed = anchor_with(trust, own.roots, own.collateral).policy
        policy = replace(
            own.policy, platforms=believed.platforms, rejected_advisories=believed.rejected_advisories
        )
        return verify_order(order.bundle, order.facts, replace(own, policy=policy), order.held)

    here = machine(order.bundle.certified[0].bundle.evidence.quote)
    assert verdict("").passed and verdict(f'platforms = ["{here}"]').passed
    refused = verdict(f'platforms = ["{ELSEWHERE}"]')
    (line,) = [line for line in refused.lines if line.number == 6]
    assert not refused.passed and not line.passed
    assert line.detail.startswith("evidence.4.tcb:") and here in line.detail
