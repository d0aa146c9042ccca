"""The verdict of TDX and SGX: its words are made when they are read, and are the same however often."""

from __future__ import annotations

import copy
import pickle

import pytest

from enclave_runtime.attestation.dcap import appraisal, platform
from enclave_runtime.attestation.simulated.intel_world import Form
from tests.fakes.intel_case import IntelCase


@pytest.fixture
def made(monkeypatch):
    """Return a list that grows by one each time the platform is put into words."""
    seen: list[object] = []
    real = appraisal._platform_facts

    def counted(quote, known):
        seen.append(known)
        return real(quote, known)

    monkeypatch.setattr(appraisal, "_platform_facts", counted)
    return seen


@pytest.mark.parametrize("form", tuple(Form))
def test_words_are_made_once_and_only_for_a_reader(form, made):
    verdict = IntelCase(form).verify()
    assert made == []
    words = dict(verdict.facts)
    assert len(verdict.facts) == len(words) > 5 and repr(verdict.facts) == repr(words)
    assert verdict.facts["fmspc"] == words["fmspc"] and "no such word" not in verdict.facts
    assert len(made) == 1


@pytest.mark.parametrize("form", tuple(Form))
def test_verdicts_compare_and_travel_with_their_words(form):
    case = IntelCase(form)
    verdict = case.verify()
    platform.forget()
    again = case.verify()
    assert verdict == again == copy.deepcopy(verdict) == pickle.loads(pickle.dumps(again))
    case.requote(report_data=b"\x07" * 64)
    case.report_data = b"\x07" * 64
    assert case.verify() != verdict
