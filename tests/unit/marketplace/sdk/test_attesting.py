"""What a file of evidence is, what it says, and the verdict by lines (protocol sections 4.1 to 4.3)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import MAX_QUOTE_BYTES, Evidence, TeeKind
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.simulated.snp import Crl, SnpWorld
from enclave_runtime.attestation.tsm.attest import TsmAttester
from enclave_runtime.wire.errors import EnclaveError
from enclave_runtime.wire.report_data import Purpose
from marketplace.errors import BadInputError, MarketError, NotFoundError
from marketplace.sdk.attest_policy import Accepted, accepted
from marketplace.sdk.attest_reading import MAX_FILE_BYTES, read_file, recognise
from marketplace.sdk.attest_words import explain
from marketplace.sdk.attesting import Judged, Outcome, Wanted, collect, judge, read_collateral
from tests.evidence import snp_case
from tests.evidence.test_intel_eventlog import ccel
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.fakes.td_quotes import td_quote

NOW, CHALLENGE = snp_case.NOW, b"\x66" * 32
TDX, CVM = SimulatedTdx(), FakeCvm()
BUNDLE = TDX.bundle(CVM, CHALLENGE)
QUOTE = BUNDLE.evidence.quote
RULES = Accepted(TDX.root_set, frozenset({TDX.measurement}), simulated=frozenset({TDX.root_set}))
WANTED = Wanted(operator=OPERATOR, purpose=Purpose.CERTIFY, challenge=CHALLENGE)


def judged(
    bundle: EvidenceBundle = BUNDLE, rules: Accepted = RULES, wanted: Wanted = WANTED, **world: Any
) -> Judged:
    """Judge a bundle by good rules but for what is given."""
    return judge(recognise(bundle.to_bytes()), TDX.collateral(NOW, **world), rules, wanted, now=NOW)


def outcomes(verdict: Judged) -> str:
    """Return the outcomes of steps (0) to (9), a letter each: pass, refused, not reached, open."""
    return "".join(line.outcome.value[0] for line in verdict.lines if line.number is not None)


@pytest.mark.parametrize(
    "data",
    [
        QUOTE,
        QUOTE.hex().encode(),
        b"0x" + QUOTE.hex().upper().encode() + b"\n",
        b"\n".join(QUOTE.hex().encode()[at : at + 64] for at in range(0, 2 * len(QUOTE), 64)),
    ],
    ids=["raw", "hex", "0x", "lines"],
)
def test_a_quote_is_known_however_it_is_written(data: bytes) -> None:
    found = recognise(data)
    assert (found.kind, found.tee, found.quote) == ("tdx quote", TeeKind.TDX, QUOTE)


def test_padding_is_named_and_never_cut_for_a_verifier() -> None:
    found = recognise(QUOTE + bytes(10))
    assert found.padding == 10 and found.quote == QUOTE + bytes(10)
    assert "10 zero bytes" in explain(found).warnings[0]
    verdict = judge(found, TDX.collateral(NOW), RULES, Wanted(bytes(64)), now=NOW)
    assert outcomes(verdict) == "rnnnnnnnnn"
    assert f"head -c {len(QUOTE)} FILE" in verdict.lines[1].todo


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"{}", "JSON without a type"),
        (BUNDLE.to_bytes()[:-40], "one that was cut"),
        (BUNDLE.to_bytes().replace(b'"purpose":"certify"', b'"purpose":"amuse"'), "damaged"),
        (TDX.collateral(NOW).to_bytes(), "collateral"),
        (b"\xff" * (MAX_QUOTE_BYTES + 1), "no tdx or sgx quote (dcap quote: got 16385 bytes"),
        (bytes(1184), "no sev-snp report (snp: got report version 0"),
    ],
    ids=["empty", "cut", "unknown word", "collateral", "large", "zeros"],
)
def test_what_is_no_evidence_is_refused_with_reasons(data: bytes, got: str) -> None:
    with pytest.raises(BadInputError) as caught:
        recognise(data)
    assert got in caught.value.got and caught.value.hint


def test_files_are_bounded_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"0" * (MAX_FILE_BYTES + 1))
    (tmp_path / "empty").touch()
    for name in ("big", "empty"):
        with pytest.raises(BadInputError, match="bytes"):
            read_file(tmp_path / name)
    with pytest.raises(NotFoundError):
        read_file(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFoundError, match="directory"):
        read_file(tmp_path)
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadInputError, match="no regular file"):
            read_file(path)  # and waits for nobody
    (tmp_path / "collateral").write_bytes(b"[]")
    with pytest.raises(BadInputError):
        read_collateral(tmp_path / "collateral")
    assert read_collateral(None) == Collateral()


@given(st.binary(max_size=200), st.integers(0, len(QUOTE) - 1), st.integers(0, 255))
def test_any_bytes_are_explained_or_refused(junk: bytes, at: int, value: int) -> None:
    changed = QUOTE[:at] + bytes([value]) + QUOTE[at + 1 :]
    for data in (junk, changed, QUOTE[:at] + junk, b"{" + junk, junk.hex().encode()):
        try:
            explain(recognise(data))
        except BadInputError as error:
            assert error.got and error.expected
    lying = replace(BUNDLE, evidence=Evidence(TeeKind.CCA, junk or b"x", gpu=junk or b"x"))
    assert explain(recognise(lying.to_bytes())).warnings


def test_a_bundle_that_claims_what_its_quote_does_not_say_is_told_so() -> None:
    told = explain(recognise(replace(BUNDLE, challenge=bytes(32)).to_bytes()))
    assert any("claims" in warning for warning in told.warnings)
    honest = explain(recognise(BUNDLE.to_bytes()))
    assert [part.title for part in honest.parts][-1] == "report_data"
    assert honest.parts[-1].facts["against the claims"] == "the same"
    assert honest.parts[2].facts["measurement (ours)"] == "0x" + TDX.measurement.hex()


def test_the_good_passes_every_step() -> None:
    verdict = judged()
    assert outcomes(verdict) == "pppppppppp" and verdict.verified is not None and verdict.simulated


@pytest.mark.parametrize(
    ("world", "words"),
    [
        ({"statements_expired": True}, "the collateral is over"),
        ({"statements_future": True}, "of a later time"),
        ({"fmspc": b"\x01" * 6}, "of another platform"),
        ({"other_tee": True}, "of another"),
        ({"unsigned": True}, "was changed"),
        ({"tcb_status": "OutOfDate"}, "--tcb accepts less"),
    ],
)
def test_what_to_do_follows_the_cause_and_not_the_step_alone(world: dict[str, Any], words: str) -> None:
    """Collateral of another platform and an outdated platform are both refused at step (4)."""
    found = recognise(QUOTE)
    verdict = judge(found, TDX.collateral(NOW, **world), RULES, Wanted(bytes(64)), now=NOW)
    (refused,) = [line for line in verdict.lines if line.outcome is Outcome.REFUSED]
    assert refused.number == 4 and words in refused.todo


def test_a_step_that_passed_says_what_that_means_though_a_later_one_refused() -> None:
    verdict = judge(recognise(QUOTE), TDX.collateral(NOW), RULES, Wanted(bytes(64)), now=NOW)
    assert outcomes(verdict) == "pppppppprn"
    assert verdict.lines[7].note == "there is none", "a replay of no log proves nothing"


def test_without_consent_or_policy_nothing_is_looked_at() -> None:
    for rules in (
        Accepted(),
        replace(RULES, simulated=frozenset()),
        replace(RULES, measurements=frozenset()),
    ):
        verdict = judged(rules=rules)
        assert outcomes(verdict) == "nnnnnnnnnn" and verdict.verified is None
        assert verdict.lines[0].outcome is Outcome.REFUSED and verdict.lines[0].todo
        made = verdict.suggestion
        assert made is not None and made.root_set == TDX.root_set and made.tcb == "UpToDate"
        assert made.measurement == "0x" + TDX.measurement.hex()


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        ({"pck_revoked": True}, "porn"),
        ({"expired": True}, None),
        ({"tcb_status": "OutOfDate"}, "pppprn"),
        ({"tcb_status": "Revoked"}, None),
    ],
)
def test_steps_that_one_act_judges_are_open_and_never_passed(
    world: dict[str, Any], expected: str | None
) -> None:
    verdict = judged(**world)
    got = outcomes(verdict)
    assert verdict.verified is None and got.count("r") == 1
    if expected is None:
        assert "p" not in got[1 : got.index("r")]
    else:
        assert got.startswith(expected)


def test_report_data_is_the_auditors_own() -> None:
    for wanted in (replace(WANTED, purpose=Purpose.RELEASE), replace(WANTED, challenge=bytes(32)), Wanted()):
        assert outcomes(judged(wanted=wanted)) == "pppppppprn"
    assert "nothing of yours" in judged(wanted=Wanted()).lines[-2].got
    own = BUNDLE.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE)
    assert judged(wanted=Wanted(own)).verified is not None


def test_expectations_that_do_not_fit_are_wrong_use() -> None:
    bare, collateral = recognise(QUOTE), TDX.collateral(NOW)
    wrong: tuple[tuple[Wanted, Accepted], ...] = (
        (WANTED, RULES),
        (replace(WANTED, report_data=bytes(64)), RULES),
        (Wanted(bytes(64)), replace(RULES, gpu=GpuRules(1, frozenset({"nvidia"})))),
    )
    for wanted, rules in wrong:
        with pytest.raises(BadInputError):
            judge(bare, collateral, rules, wanted, now=NOW)
    with pytest.raises(BadInputError):
        judged(wanted=Wanted(operator=OPERATOR))
    with pytest.raises(BadInputError):
        judge(recognise(BUNDLE.to_bytes()), collateral, RULES, WANTED, now=NOW, event_log=b"log")


@pytest.mark.parametrize(
    ("world", "step"),
    [
        (SnpWorld(), None),
        (SnpWorld(crl=Crl.EXPIRED), 2),
        (SnpWorld(alias_check=False), 4),
        (SnpWorld(debug=True), 5),
        (SnpWorld(vmpl=1), 5),
    ],
)
def test_each_bad_snp_world_stops_at_its_step(world: SnpWorld, step: int | None) -> None:
    vendor = snp_case.vendor("Genoa")
    registers = SnpRegisters(b"\x4d" * 48, b"\x68" * 32, world.guest_policy)
    found = recognise(vendor.report(snp_case.REPORT_DATA, registers, world))
    root = vendor.roots.id
    rules = Accepted(root, frozenset({registers.digest()}), simulated=frozenset({root}))
    collateral = vendor.collateral(NOW, world)
    verdict = judge(found, collateral, rules, Wanted(snp_case.REPORT_DATA), now=NOW)
    assert outcomes(verdict) == ("p" * 10 if step is None else "p" * step + "r" + "n" * (9 - step))
    # Without AMD's certificates there is no root to suggest, and no step that passed but the first.
    missing = judge(found, Collateral(), Accepted(), Wanted(), now=NOW)
    assert missing.suggestion is not None and missing.suggestion.root_set == ""
    assert outcomes(judge(found, Collateral(), rules, Wanted(), now=NOW)) == "prnnnnnnnn"


def test_policy_files_and_flags(tmp_path: Path) -> None:
    file, given = tmp_path / "policy.toml", "0x" + "11" * 32
    file.write_text(f'[trust]\nroot_set = "intel"\nmeasurements = ["{given}"]\nworst_tcb = "OutOfDate"\n')
    read = accepted(file, "", [], [], [])
    assert (read.root_set, read.measurements) == (
        "intel",
        frozenset({b"\x11" * 32}),
    ) and "OutOfDate" in read.tcb
    flags = accepted(file, "amd-genoa", ["22" * 32], ["Unrated"], [TDX.root_set])
    assert flags == Accepted("amd-genoa", frozenset({b"\x22" * 32}), frozenset({"Unrated"}), flags.simulated)
    # A file cannot consent to a SIMULATED root: only the flag does.
    file.write_text(f'[trust]\nroot_set = "{TDX.root_set}"\nunsafe_accept_simulated = true\n')
    assert accepted(file, "", [given], [], []).policy().simulated is None
    wrongs: list[tuple[str, list[str], list[str], list[str]]] = [
        ("moon", [], [], []),
        ("", ["1"], [], []),
        ("", [], ["Fine"], []),
        ("", [], [], ["intel"]),
    ]
    for wrong in wrongs:
        with pytest.raises(BadInputError):
            accepted(None, *wrong)
    file.write_text("rpc = []\n")
    with pytest.raises(BadInputError, match="trust"):
        accepted(file, "", [], [], [])


LOG = ccel((1, 4, b"\0\0\0\0"))


class Kernel:
    """A machine with configfs-tsm: one entry, counted writes."""

    def __init__(self) -> None:
        self.data, self.writes = b"", 0

    def make(self, name: str) -> None:
        self.writes = 0

    def remove(self, name: str) -> None:
        pass

    def write(self, name: str, attribute: str, data: bytes) -> None:
        self.data, self.writes = data, self.writes + 1

    def read(self, name: str, attribute: str, limit: int) -> bytes:
        answers = {"provider": b"tdx_guest\n", "generation": b"%d\n" % self.writes}
        return answers.get(attribute, td_quote(self.data))

    def boot_log(self, limit: int) -> bytes | None:
        return LOG


def test_collecting_writes_quote_and_log_and_replaces_nothing(tmp_path: Path) -> None:
    evidence, log = collect(tmp_path / "quote", bytes(64), lambda: TsmAttester(Kernel()))
    assert (tmp_path / "quote").read_bytes() == evidence.quote == td_quote(bytes(64))
    assert log is not None and log.read_bytes() == LOG and log.name == "quote.ccel"
    with pytest.raises(FileExistsError):
        collect(tmp_path / "quote", bytes(64), lambda: TsmAttester(Kernel()))


def test_collecting_elsewhere_says_what_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> TsmAttester:
        raise EnclaveError("platform: found no TEE")

    monkeypatch.setattr("marketplace.sdk.attesting.this_machine", nothing)
    with pytest.raises(MarketError, match="found no TEE, expected one of configfs-tsm") as caught:
        collect(tmp_path / "quote", bytes(64))
    assert caught.value.hint and not (tmp_path / "quote").exists()
