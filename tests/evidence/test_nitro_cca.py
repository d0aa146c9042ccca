"""Every Nitro document and CCA token of the record, at its own time, and every byte of one of each."""

from __future__ import annotations

import pytest

from enclave_runtime.attestation.errors import AttestationError, Step
from tests.evidence import vectors
from tests.evidence.cose_vectors import as_parameters, documents, tokens

pytestmark = vectors.REQUIRED

DOCUMENTS, TOKENS = documents(), tokens()
GOOD = [item for item in DOCUMENTS if item.check["result"] == "ok" and not item.is_debug]
GOOD_TOKENS = [item for item in TOKENS if item.expected == "ok"]


def test_the_record_is_as_large_as_it_was():
    assert (len(DOCUMENTS), len(GOOD), len(TOKENS), len(GOOD_TOKENS)) == (6, 2, 6, 5)


@pytest.mark.parametrize("item", as_parameters(DOCUMENTS))
def test_documents_give_the_outcome_of_the_record(item):
    if item in GOOD:
        verdict = item.verification()()
        assert (verdict.root_set, verdict.simulated) == ("aws-nitro", False)
        return
    with pytest.raises(AttestationError) as caught:
        item.verification()()
    # Hours later the key has expired; the record accepts a debug enclave for its cryptography alone.
    assert caught.value.step == (Step.CHAIN if item.check["result"] == "reject" else Step.DEBUG)


@pytest.mark.parametrize("item", as_parameters(DOCUMENTS))
def test_a_capture_with_something_around_the_document_is_refused(item):
    with pytest.raises(AttestationError) as caught:
        item.verification()((vectors.ROOT / item.row["file"]).read_bytes()[:16384])
    assert caught.value.step == Step.PARSE


@pytest.mark.parametrize("item", as_parameters(GOOD))
def test_documents_hold_in_their_window_and_not_outside(item):
    last = item.verification()().collateral_expires_at
    item.verification(now=last)()
    for now in (last + 1, item.check["now"] - 3 * 3600):
        with pytest.raises(AttestationError):
            item.verification(now=now)()


@pytest.mark.parametrize("item", as_parameters(TOKENS))
def test_tokens_give_the_outcome_of_the_record(item):
    assert item.outcome() == item.expected


@pytest.mark.parametrize("item", as_parameters(GOOD_TOKENS))
def test_tokens_read_as_the_record_has_them(item):
    verdict, fields = item.verification()(), item.row["fields"]
    assert verdict.report_data.hex() == fields["challenge"]
    assert verdict.facts["rim"] == fields["rim"]
    assert verdict.facts["implementation"] == fields["implementation_id"]
    assert verdict.facts["lifecycle"] == fields["lifecycle"]


def flips_of(data: bytes, verify, step: int, start: int = 0) -> int:
    accepted = 0
    for place in range(start, len(data), step):
        spoiled = bytearray(data)
        spoiled[place] ^= 0xFF
        try:
            verify(bytes(spoiled))
        except AttestationError:
            continue
        accepted += 1
    return accepted


def test_no_flipped_byte_of_a_document_verifies():
    assert flips_of(GOOD[0].document, GOOD[0].verification(), step=37) == 0


def test_no_flipped_byte_of_a_token_verifies():
    assert flips_of(GOOD_TOKENS[0].token, GOOD_TOKENS[0].verification(), step=7) == 0


@pytest.mark.heavy
@pytest.mark.parametrize("item", as_parameters([GOOD[0]]))
def test_no_byte_of_a_document_can_change(item):
    assert flips_of(item.document, item.verification(), step=1) == 0


@pytest.mark.heavy
@pytest.mark.parametrize("item", as_parameters(GOOD_TOKENS))
def test_no_byte_of_a_token_can_change(item):
    assert flips_of(item.token, item.verification(), step=1) == 0
