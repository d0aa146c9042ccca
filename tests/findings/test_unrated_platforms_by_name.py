"""ADR 0026 let a policy accept unrated platforms by name, and no policy could.

The status byte of certificates ends in REVOKED, and the contracts take no floor below it: a Nitro enclave or
a CCA realm can never be registered, so no order runs on one and no key is released to one. Whoever names them
in a policy is told so, in one sentence, instead of waiting for ever.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.wire.cvm import TcbStatus
from marketplace.certifier.config import load_config
from marketplace.domain.anchors import kinds_of
from marketplace.domain.release_policy import parse_policy
from marketplace.domain.tcb import TCB_WORDS, UNRATED_KINDS, VERIFY_ONLY, tcb_level
from marketplace.errors import BadInputError
from marketplace.sdk.settings import ConfigTable, Trust
from marketplace.service.settings import load
from tests.unit.marketplace.certifier.test_certifier_config import GOOD as CERTIFIER
from tests.unit.marketplace.domain.test_release_policy import GOOD as POLICY

CCA = "cca:" + "00" * 32


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('tees = ["tdx"]', 'tees = ["nitro"]'),
        ('tees = ["tdx"]', 'tees = ["tdx", "cca"]'),
        ('trust_classes = ["intel"]', 'trust_classes = ["aws-nitro"]'),
        ('trust_classes = ["intel"]', f'trust_classes = ["intel", "{CCA}"]'),
        ('worst_tcb = "SWHardeningNeeded"', 'worst_tcb = "Unrated"'),
    ],
)
def test_a_release_policy_says_why_not(old: str, new: str) -> None:
    assert old in POLICY
    with pytest.raises(BadInputError) as caught:
        parse_policy(POLICY.replace(old, new).encode())
    assert VERIFY_ONLY in caught.value.expected


@pytest.mark.parametrize("root_set", ["aws-nitro", CCA])
def test_a_certifier_says_why_not(tmp_path: Path, root_set: str) -> None:
    path = tmp_path / "certifier.toml"
    text = CERTIFIER.replace('root_sets = ["intel"]', f'root_sets = ["intel", "{root_set}"]')
    assert text != CERTIFIER
    path.write_text(text)
    with pytest.raises(BadInputError) as caught:
        load_config(path)
    assert VERIFY_ONLY in caught.value.expected and root_set in caught.value.got


@pytest.mark.parametrize("line", ['tees = ["tdx", "nitro"]', 'worst_tcb = "Unrated"'])
def test_a_profile_says_why_not(tmp_path: Path, line: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[trust]\nroot_set = "aws-nitro"\n{line}\n')
    with pytest.raises(BadInputError) as caught:
        Trust.take(ConfigTable.of(load(path)))
    assert VERIFY_ONLY in caught.value.expected


def test_certificates_have_no_word_for_them_indeed() -> None:
    assert max(TcbStatus) is TcbStatus.REVOKED
    assert set(TCB_WORDS.values()) == set(TcbStatus) - {TcbStatus.NONE}
    with pytest.raises(BadInputError):
        tcb_level("Unrated")
    assert {kind for kind in TeeKind if kind in UNRATED_KINDS} == kinds_of("aws-nitro") | kinds_of(CCA)
