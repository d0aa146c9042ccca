"""The owner's policy file: strict to read, plain to hear, empty refuses (protocol section 5.2)."""

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.wire.cvm import TcbStatus
from marketplace.domain.release_policy import MAX_POLICY_BYTES, explain, parse_policy
from marketplace.domain.tcb import tcb_level, words_within
from marketplace.errors import BadInputError

DIGEST, CLIENT = "0x" + "ab" * 32, "0x" + "cd" * 20
DEV = "dev:" + "12" * 32
GOOD = f"""
version = 1
trust_classes = ["intel"]
tees = ["tdx"]
worst_tcb = "SWHardeningNeeded"
measurements = ["{DIGEST}"]
engines = ["{DIGEST.upper().replace("0X", "0x")}"]
clients = ["{CLIENT}"]
other_inputs = "any"
listed_by = ["{CLIENT}"]
max_uses = 3
min_price_due = "340282366920938463463374607431768211455"
hours_utc = [22, 6]
"""


def test_reads_a_whole_policy() -> None:
    policy = parse_policy(GOOD.encode())
    assert policy.trust_classes == {"intel"} and policy.tees == {TeeKind.TDX}
    assert policy.worst_tcb is TcbStatus.SW_HARDENING_NEEDED
    assert policy.engines == policy.measurements == {b"\xab" * 32}
    assert policy.other_inputs is None and policy.platforms is None and policy.clients == {b"\xcd" * 20}
    assert policy.min_price_due == 2**128 - 1 and policy.hours_utc == (22, 6) and policy.empty() is None
    assert policy.orders_before == 0 and policy.ttl_s == 86_400


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("version = 1", "version = 2", "version"),
        ("version = 1", "", "version"),
        ('tees = ["tdx"]', "", "missing"),
        ("max_uses = 3", "max_uses = 3\nextra = 1", "unknown"),
        ('tees = ["tdx"]', 'tees = ["abacus"]', "tees"),
        ('"SWHardeningNeeded"', '"Revoked"', "worst_tcb"),
        ('"SWHardeningNeeded"', '"Fine"', "TCB"),
        (f'measurements = ["{DIGEST}"]', 'measurements = ["0xab"]', "measurements"),
        (f'measurements = ["{DIGEST}"]', 'measurements = "any"', "measurements"),
        (f'engines = ["{DIGEST.upper().replace("0X", "0x")}"]', 'engines = "any"', "engines"),
        (f'clients = ["{CLIENT}"]', "clients = [1]", "clients"),
        ("max_uses = 3", "max_uses = true", "max_uses"),
        ("max_uses = 3", "max_uses = -1", "max_uses"),
        ("max_uses = 3", "max_uses = 3.5", "max_uses"),
        ("[22, 6]", "[6, 6]", "hours_utc"),
        ("[22, 6]", "[6, 25]", "hours_utc"),
        ('["intel"]', '["acme"]', "trust_classes"),
        ('["intel"]', f'["{DEV}"]', "SIMULATED"),
        ("version = 1", "version = ", "TOML"),
    ],
)
def test_refuses_with_the_key_named(old: str, new: str, word: str) -> None:
    assert old in GOOD
    with pytest.raises(BadInputError, match=word):
        parse_policy(GOOD.replace(old, new).encode())


def test_refuses_oversize_before_parsing() -> None:
    with pytest.raises(BadInputError, match="bytes"):
        parse_policy(b"#" * (MAX_POLICY_BYTES + 1))


def test_simulated_class_needs_the_loud_word_and_is_told_first() -> None:
    text = GOOD.replace('["intel"]', f'["{DEV}"]\nunsafe_accept_simulated = true')
    policy = parse_policy(text.encode())
    assert explain(policy)[0].startswith("DANGER: simulated")
    appraisal = policy.appraisal(DEV)
    assert appraisal.simulated is not None and appraisal.simulated.root_set == DEV
    assert policy.appraisal("intel").simulated is None


@pytest.mark.parametrize("name", ["trust_classes", "tees", "measurements", "engines", "clients", "listed_by"])
def test_an_empty_list_accepts_nothing_and_says_so(name: str) -> None:
    lines = [f"{name} = []" if line.startswith(name) else line for line in GOOD.splitlines()]
    policy = parse_policy("\n".join(lines).encode())
    assert policy.empty() == name
    assert explain(policy)[0] == f"NOTHING is ever released: {name} accepts nothing."


def test_no_use_left_is_empty_and_no_other_input_is_not() -> None:
    assert parse_policy(GOOD.replace("max_uses = 3", "max_uses = 0").encode()).empty() == "max_uses"
    alone = GOOD.replace('other_inputs = "any"', "other_inputs = []")
    assert parse_policy(alone.encode()).empty() is None


def test_tcb_words_are_one_list_and_revoked_is_never_within() -> None:
    assert words_within(TcbStatus.SW_HARDENING_NEEDED) == {"UpToDate", "SWHardeningNeeded"}
    assert "Revoked" not in words_within(TcbStatus.REVOKED)
    assert words_within(TcbStatus.NONE) == frozenset()
    assert tcb_level("OutOfDate") is TcbStatus.OUT_OF_DATE
