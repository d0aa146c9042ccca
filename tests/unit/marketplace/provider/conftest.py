"""A provider's surroundings in memory for every test that asks for them."""

from collections.abc import Iterator

import pytest

from tests.fakes.provider_world import ProviderWorld, provider_world


@pytest.fixture
def world() -> Iterator[ProviderWorld]:
    with provider_world() as made:
        yield made
