"""`cloister keybroker explain` was silent on policies under which nothing can ever be released.

It looked for empty lists only. A root of Intel's beside a TEE of AMD's, Milan that no rule accepts or no
floor rates, Nitro that nobody rates: each read like a policy in force, and every order waited in vain.
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
