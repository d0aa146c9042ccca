"""Every Nitro document and CCA token of the record, at its own time, and every bit of them."""

from __future__ import annotations

import pytest

from enclave_runtime.attestation.cca.verify import _load
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.nitro import chain
from tests.evidence import vectors
from tests.evidence.bounds import flips, hold
from tests.evidence.cose_vectors import CcaVector, NitroVector, as_parameters, documents, tokens

pytestmark = vectors.REQUIRED

DOCUMENTS, TOKENS = documents(), tokens()
GOOD = [item for item in DOCUMENTS if item.check["result"] == "ok" and not item.is_debug]
BITS = tuple(1 << bit for bit in range(8))
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


def held(item: NitroVector | CcaVector, masks: tuple[int, ...], step: int = 1) -> int:
    """Return how many copies with a byte changed were refused, each in time and memory."""
    if isinstance(item, NitroVector):
        return hold(item.verification(), item.document, flips(item.document, masks, step), chain.forget)
    return hold(item.verification(), item.token, flips(item.token, masks, step), _load.cache_clear)


def test_no_flipped_byte_of_a_document_verifies():
    assert held(GOOD[0], (0xFF,), step=37) > 100


def test_no_flipped_byte_of_a_token_verifies():
    assert held(GOOD_TOKENS[0], (0xFF,), step=7) > 100


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("item", as_parameters(GOOD))
def test_no_bit_of_a_document_can_change(item):
    assert held(item, (0xFF, *BITS)) == 9 * len(item.document)


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("item", as_parameters(GOOD_TOKENS))
def test_no_bit_of_a_token_can_change(item):
    assert held(item, (0xFF, *BITS)) == 9 * len(item.token)
