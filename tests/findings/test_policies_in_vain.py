"""`cloister keybroker explain` was silent on policies under which nothing can ever be released.

It looked for empty lists only. A root of Intel's beside a TEE of AMD's, Milan that no rule accepts or no
floor rates, Nitro that nobody rates: each read like a policy in force, and every order waited in vain. So
did, later, a placeholder of zeros that was never replaced, hours without an hour in them, and rules for GPUs
that contradict each other.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.release_policy import parse_policy
from marketplace.domain.release_words import explain
from marketplace.errors import BadInputError

DIGEST, CLIENT = "0x" + "ab" * 32, "0x" + "cd" * 20
OTHER = "0x" + "ef" * 32
DEV = "dev:" + "12" * 32
NOBODY, NO_DIGEST = '["0x' + "00" * 20 + '"]', '["0x' + "00" * 32 + '"]'
TWO_GPUS = '[gpu]\ncount = 2\nroot_sets = ["nvidia"]\n'
MILAN_FLOOR = """[snp]
accept_milan = true
floors_edition = 202601
floors = [{product = "Milan", snp = 27}]
"""
GPU = f'[gpu]\ncount = 1\nroot_sets = ["{DEV}"]\nunsafe_accept_simulated = true\n'


def policy(roots: list[str], tees: list[str], rules: str = "", **changed: object) -> str:
    members = {
        "version": 1,
        "trust_classes": roots,
        "tees": tees,
        "worst_tcb": '"UpToDate"',
        "measurements": f'["{DIGEST}"]',
        "platforms": f'["{DIGEST}"]',
        "engines": f'["{DIGEST}"]',
        "configs": f'["{DIGEST}"]',
        "clients": f'["{CLIENT}"]',
        "other_inputs": "[]",
        "listed_by": f'["{CLIENT}"]',
        "max_uses": 1,
        **changed,
    }
    return "\n".join(f"{name} = {value}" for name, value in members.items()) + "\n" + rules


def first(text: str) -> str:
    return explain(parse_policy(text.encode()))[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (policy(["intel"], ["sev-snp"]), "intel certifies no sev-snp"),
        (policy(["amd-genoa"], ["tdx"]), "amd-genoa certifies no tdx"),
        (policy(["amd-milan"], ["sev-snp"]), "amd-milan without snp.accept_milan"),
        (policy(["amd-milan"], ["sev-snp"], "[snp]\naccept_milan = true\n"), "floors rate no Milan"),
        (policy(["amd-turin"], ["sev-snp"], MILAN_FLOOR), "floors rate no Turin"),
        (policy(["amd-genoa"], ["sev-snp"], min_tcb_eval_number=202_612), "edition 202601"),
        (policy(["intel"], ["tdx"], "[intel]\nmr_seams = []\n"), "no TDX module"),
        (policy(["intel"], ["tdx"], GPU), "SIMULATED GPUs"),
        (policy(["amd-genoa"], ["sev-snp"]), "no measurement is in secure_tsc"),
        (policy(["amd-genoa"], ["sev-snp"], secure_tsc=f'["{OTHER}"]'), "no measurement is in secure_tsc"),
        (policy([DEV], ["tdx"], unsafe_accept_simulated="true"), "a SIMULATED clock is the host's"),
        (policy(["intel"], ["tdx"], GPU.replace("count", "modes = []\ncount")), "gpu.modes accepts nothing"),
        (policy(["intel"], ["tdx"], hours_utc="[24, 0]"), "hours_utc begins where the day ends"),
        (policy(["intel"], ["tdx"], clients=NOBODY), "clients has but zeros"),
        (policy(["intel"], ["tdx"], listed_by=NOBODY), "listed_by has but zeros"),
        (policy(["intel"], ["tdx"], measurements=NO_DIGEST), "measurements has but zeros"),
        (policy(["intel"], ["tdx"], platforms=NO_DIGEST), "platforms has but zeros"),
        (policy(["intel"], ["tdx"], engines=NO_DIGEST), "engines has but zeros"),
        (policy(["intel"], ["tdx"], configs=NO_DIGEST), "configs has but zeros"),
        (policy(["intel"], ["tdx"], TWO_GPUS + 'modes = ["ppcie"]\n'), "beside attested switches only"),
        (policy(["intel"], ["tdx"], TWO_GPUS + f'devices = ["{DIGEST}"]\n'), "gpu.devices lists 1, and 2"),
        (
            policy(["intel"], ["tdx"], TWO_GPUS + f'switches = 1\ndevices = ["{DIGEST}", "{OTHER}"]\n'),
            "gpu.devices lists 2, and 3 different",
        ),
    ],
)
def test_a_policy_that_can_release_nothing_says_so_first_and_why(text: str, why: str) -> None:
    said = first(text)
    assert said.startswith("NOTHING is ever released: ") and why in said


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        (policy(["intel"], ["tdx", "sev-snp"]), "tees has sev-snp", "intel certifies no sev-snp"),
        (policy(["intel", "amd-milan"], ["tdx"]), "trust_classes has amd-milan", "certifies no tdx"),
        (
            policy(["intel"], ["tdx"], clients=f'["{CLIENT}", {NOBODY[1:]}'),
            "clients has zeros",
            "placeholder",
        ),
        (
            policy(["intel"], ["tdx"], engines=f'["{DIGEST}", {NO_DIGEST[1:]}'),
            "engines has zeros",
            "placeholder",
        ),
        (
            policy(["amd-genoa"], ["sev-snp"], secure_tsc=f'["{DIGEST}", "{OTHER}"]'),
            "secure_tsc has 1",
            "measurements does not accept",
        ),
        (policy(["intel"], ["tdx"], secure_tsc=f'["{DIGEST}"]'), "secure_tsc is about sev-snp", "tees"),
        (
            policy(["amd-genoa"], ["sev-snp"], "[snp]\naccept_vlek = true\n", accept_host_clock="true"),
            "snp.accept_vlek",
            "names no machine",
        ),
        (
            policy(
                ["amd-genoa"], ["sev-snp"], "[snp]\naccept_masked_chip = true\n", accept_host_clock="true"
            ),
            "snp.accept_masked_chip",
            "names no machine",
        ),
        (
            policy(["intel"], ["tdx"], TWO_GPUS + 'modes = ["mpt", "ppcie"]\n'),
            "gpu.modes has ppcie",
            "switches",
        ),
    ],
)
def test_a_part_that_is_dead_alone_is_named(text: str, name: str, why: str) -> None:
    said = first(text)
    assert said.startswith(f"IN VAIN: {name}") and why in said


@pytest.mark.parametrize(
    "text",
    [
        policy(["intel"], ["tdx"]),
        policy([DEV], ["tdx", "sev-snp"], unsafe_accept_simulated="true", accept_host_clock="true"),
        policy(["amd-genoa"], ["sev-snp"], secure_tsc=f'["{DIGEST}"]'),
        policy(["amd-genoa"], ["sev-snp"], accept_host_clock="true"),
        policy(["intel"], ["tdx"], hours_utc="[24, 8]"),
        policy(["intel"], ["tdx"], hours_utc="[0, 24]"),
        policy(["intel"], ["tdx"], TWO_GPUS + f'devices = ["{DIGEST}", "{OTHER}"]\n'),
        policy(["intel"], ["tdx"], TWO_GPUS + 'switches = 1\nmodes = ["ppcie"]\n'),
        policy(["intel"], ["tdx"], '[intel]\nmr_seams = ["0x' + "00" * 48 + '"]\n'),
        policy(
            ["amd-genoa"],
            ["sev-snp"],
            "[snp]\naccept_vlek = true\naccept_masked_chip = true\n",
            accept_host_clock="true",
            platforms='"any"',
        ),
    ],
)
def test_what_can_release_is_not_slandered(text: str) -> None:
    said = "\n".join(explain(parse_policy(text.encode())))
    assert "NOTHING is ever" not in said and "IN VAIN" not in said


def test_the_examples_say_nothing_of_the_kind_but_the_one_that_means_it() -> None:
    folder = Path(__file__).parents[2] / "examples" / "policies"
    for path in sorted(folder.glob("*.toml")):
        said = "\n".join(explain(parse_policy(path.read_bytes())))
        assert ("NOTHING is ever released" in said) == (path.stem == "nobody"), path
        assert "IN VAIN" not in said, path


@pytest.mark.parametrize(
    ("version", "got"), [("version = 2", "got 2,"), ("", "got none,"), ("version = true", "got True,")]
)
def test_a_policy_of_another_version_is_told_which_it_says(version: str, got: str) -> None:
    text = policy(["intel"], ["tdx"]).replace("version = 1", version, 1)
    with pytest.raises(BadInputError, match=got) as caught:
        parse_policy(text.encode())
    assert ("add" in caught.value.hint) == (not version)
