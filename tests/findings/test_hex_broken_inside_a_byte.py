"""The crash: `cloister attest show` of evidence in hex whose lines break between the two digits of a byte."""

from __future__ import annotations

import pytest

from marketplace.errors import BadInputError
from marketplace.sdk.attest_reading import recognise
from tests.fakes.cose_issuers import SimulatedNitro


@pytest.mark.parametrize("width", [1, 3, 64, 65])
def test_hex_reads_wherever_its_lines_break(width):
    document = SimulatedNitro().document(bytes(64))
    text = document.hex()
    broken = "\n".join(text[at : at + width] for at in range(0, len(text), width))
    assert recognise(broken.encode()).quote == recognise(document).quote == document


@pytest.mark.parametrize("text", [b"a b", b"0x0 0", b"0 x00", b"0x"])
def test_what_is_no_evidence_is_refused_in_our_words(text):
    with pytest.raises(BadInputError):
        recognise(text)
