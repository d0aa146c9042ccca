"""The owner's policy file: strict to read, plain to hear, empty refuses (protocol section 5.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.cvm import TcbStatus
from marketplace.domain import release_policy
from marketplace.domain.release_policy import MAX_POLICY_BYTES, parse_policy
from marketplace.domain.release_words import explain, weaknesses
from marketplace.domain.tcb import tcb_level, words_within
from marketplace.errors import BadInputError

DIGEST, CLIENT = "0x" + "ab" * 32, "0x" + "cd" * 20
DEV = "dev:" + "12" * 32
RULES = """
min_tcb_eval_number = 17
rejected_advisories = ["INTEL-SA-00001"]
[intel]
max_collateral_age_s = 604800
rejected_fmspcs = ["0xabababababab"]
require_smt_off = true
[snp]
max_vmpl = 1
require_alias_check = false
floors_edition = 202601
floors = [{product = "Genoa", part = [17, 1], snp = 27, ucode = 84, advisory = "AMD-SB-1"}]
[gpu]
count = 2
root_sets = ["nvidia"]
switches = 1
modes = ["ppcie"]
min_driver = [550, 90, 7]
min_firmware = {GH100 = [150, 0, 148]}
ocsp_required = false
rim_dates_at_signing = true
"""
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
STRICT = (
    GOOD.replace("SWHardeningNeeded", "UpToDate").replace('"any"', "[]")
    + f'platforms = ["{DIGEST}"]\nconfigs = ["{DIGEST}"]\n'
)


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
    text = GOOD.replace('["intel"]', f'["{DEV}"]\nunsafe_accept_simulated = true\naccept_host_clock = true')
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


def test_reads_the_vendors_rules_and_hands_them_to_the_verifier() -> None:
    policy = parse_policy((GOOD + RULES).encode())
    appraisal = policy.appraisal("intel")
    assert appraisal.min_tcb_eval_number == 17 and appraisal.rejected_advisories == {"INTEL-SA-00001"}
    assert appraisal.intel.rejected_fmspcs == {b"\xab" * 6} and appraisal.intel.require_smt_off
    assert appraisal.intel.max_collateral_age_s == 604_800
    assert appraisal.snp.max_vmpl == 1 and not appraisal.snp.require_alias_check
    (table,) = appraisal.snp.floors
    assert table.edition == 202_601
    (floor,) = table.floors
    assert (floor.product, floor.part, floor.tcb.snp, floor.tcb.ucode) == ("Genoa", (17, 1), 27, 84)
    assert appraisal.gpu is not None and appraisal.gpu.count == 2 and appraisal.gpu.switches == 1
    assert appraisal.gpu.min_driver == (550, 90, 7)
    assert appraisal.gpu.min_firmware == {("GH100", (150, 0, 148))}


def test_left_out_rules_are_the_strict_ones_and_no_gpu() -> None:
    policy = parse_policy(GOOD.encode())
    assert policy.snp == SnpRules() and policy.gpu is None
    assert any(line.startswith("GPUs: none") for line in explain(policy))
    assert not any("snp." in line for line in explain(policy))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("max_vmpl = 1", "max_vmpl = 4", "snp.max_vmpl"),
        ("max_vmpl = 1", "accept_millan = true", "unknown"),
        ("max_vmpl = 1", "accept_milan = 1", "snp.accept_milan"),
        ("floors_edition = 202601", "", "both"),
        ("part = [17, 1]", "part = [17]", "stepping"),
        ("part = [17, 1]", "spl = 3", "unknown"),
        ("ucode = 84", "ucode = 256", "ucode"),
        ("count = 2", "count = 9", "gpu.count"),
        ("count = 2", "", "gpu.count"),
        ('root_sets = ["nvidia"]', 'root_sets = ["acme"]', "gpu.root_sets"),
        ('root_sets = ["nvidia"]', f'root_sets = ["{DEV}"]', "SIMULATED|loud"),
        ('root_sets = ["nvidia"]', 'root_sets = ["nvidia"]\nunsafe_accept_simulated = true', "loud"),
        ('modes = ["ppcie"]', 'modes = ["fast"]', "gpu.modes"),
        ("min_driver = [550, 90, 7]", 'min_driver = "550.90.07"', "gpu.min_driver"),
        ("require_smt_off = true", 'require_smt_off = "yes"', "intel.require_smt_off"),
        ('"0xabababababab"', '"0xab"', "intel.rejected_fmspcs"),
        ('["INTEL-SA-00001"]', '"INTEL-SA-00001"', "rejected_advisories"),
    ],
)
def test_refuses_a_wrong_rule_with_its_name(old: str, new: str, word: str) -> None:
    assert old in RULES
    with pytest.raises(BadInputError, match=word):
        parse_policy((GOOD + RULES.replace(old, new)).encode())


def test_whatever_weakens_is_shouted() -> None:
    strict = parse_policy(STRICT.encode())
    assert weaknesses(strict) == []
    loose = parse_policy(
        (GOOD.replace("max_uses", "orders_before = 4\nttl_s = 1000000\nmax_uses") + RULES).encode()
    )
    said = "\n".join(weaknesses(loose))
    for word in (
        "SWHardeningNeeded", "hardware may be ANY", "ANY configuration", "ANY other input", "4 orders before",
        "11 days", "snp.require_alias_check = false", "snp.max_vmpl", "snp.floors", "ppcie", "ocsp",
        "rim_dates",
    ):  # fmt: skip
        assert word in said, word
    assert all(line.startswith("WEAK: ") for line in weaknesses(loose))
    anyone = parse_policy(STRICT.replace(f'clients = ["{CLIENT}"]', 'clients = "any"').encode())
    assert weaknesses(anyone) == ["WEAK: ANY client may order with the content."]
    assert any(line.startswith("Who may order: ANY ") for line in explain(anyone))


def test_the_hosts_clock_is_a_weakness_and_the_measurements_without_it_are_said() -> None:
    policy = parse_policy((STRICT + "accept_host_clock = true\n").encode())
    (said,) = weaknesses(policy)
    assert said.startswith("WEAK: the host may hold the clock")
    assert any("kept from the host (Intel TDX)" in line for line in explain(parse_policy(STRICT.encode())))
    named = parse_policy((STRICT + f'secure_tsc = ["{DIGEST}"]\n').encode())
    assert any(f"SEV-SNP with measurement only {DIGEST}" in line for line in explain(named))


def test_simulated_gpus_are_a_danger() -> None:
    text = RULES.replace('root_sets = ["nvidia"]', f'root_sets = ["{DEV}"]\nunsafe_accept_simulated = true')
    policy = parse_policy((GOOD + text).encode())
    nothing, danger, *_ = explain(policy)
    assert nothing.startswith("NOTHING") and danger.startswith("DANGER: simulated GPUs")  # beside "intel"
    assert policy.gpu is not None and policy.gpu.simulated is not None


def test_gpu_rules_without_a_root_accept_nothing() -> None:
    policy = parse_policy((GOOD + RULES.replace('["nvidia"]', "[]")).encode())
    assert policy.empty() == "gpu"


def test_words_name_who_may_and_how_many_more() -> None:
    many = ", ".join(f'"0x{number:040x}"' for number in range(6))
    lines = explain(parse_policy(GOOD.replace(f'clients = ["{CLIENT}"]', f"clients = [{many}]").encode()))
    (who,) = [line for line in lines if line.startswith("Who may order")]
    assert "one of 6: " in who and " and 2 more " in who and f"0x{3:040x}" in who


def test_rules_that_differ_from_the_defaults_are_said() -> None:
    said = "\n".join(explain(parse_policy((GOOD + RULES).encode())))
    for word in (
        "require_smt_off = true",
        "rejected_fmspcs = 1 listed",
        "max_vmpl = 1",
        "driver 550.90.7 or later",
    ):
        assert word in said, word
    assert "Other than by default" not in "\n".join(explain(parse_policy(GOOD.encode())))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["any", DIGEST, CLIENT, DEV, "nvidia", "intel", "tdx", "spt", "Genoa", "UpToDate"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["count", "root_sets", "floors", "floors_edition", "max_vmpl", "product", "part", "snp"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(release_policy._READERS)), value=VALUES)
def test_any_value_is_read_or_refused_by_name(name: str, value: object) -> None:
    try:
        release_policy._READERS[name](name, value)
    except BadInputError as error:
        assert name in str(error) or "TCB" in str(error)
