"""The section [storage]: what may stand in it, and which stores come out of it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from marketplace.errors import BadInputError
from marketplace.sdk.profile import Profile, Session
from marketplace.sdk.storage_settings import Storage
from marketplace.storage.base import NotConfiguredError
from marketplace.storage.patience import Patience
from marketplace.storage.s3 import S3Config

FULL = {
    "": {"put": "s3", "silent_s": 90},
    "ipfs": {"api": "http://127.0.0.1:5001"},
    "s3": {
        "bucket": "models",
        "prefix": "c/",
        "endpoint": "https://s3.example.org",
        "region": "x",
        "profile": "y",
    },
    "web": {"allow_networks": ["10.20.0.0/16"], "dangerous_allow_loopback": True},
    "cache": {"folder": "ciphertext", "gib": 7},
}


def profile(home: Path, storage: dict[str, dict[str, object]] | None) -> Profile:
    return Profile.write(home, rpc=["http://127.0.0.1:1"], deployment="d.json", storage=storage)


def test_a_profile_without_it_has_the_local_store_alone(tmp_path: Path) -> None:
    made = profile(tmp_path, None)
    assert made.storage == Storage()
    store = Session(made).store
    assert store.put([b"x"]).startswith("file:sha256/")
    for uri in ("ipfs://x", "s3://b/k"):
        with pytest.raises(NotConfiguredError):
            store.size(uri)


def test_every_member_arrives(tmp_path: Path) -> None:
    made = profile(tmp_path, FULL)
    config = Session(made).store.config
    assert config.put_scheme == "s3"
    assert config.ipfs_api == "http://127.0.0.1:5001"
    assert config.s3 == S3Config("models", "c/", "https://s3.example.org", "x", "y")
    assert config.network.allowed == (ipaddress.ip_network("10.20.0.0/16"),)
    assert config.network.dangerous_allow_loopback
    assert config.patience == Patience.of(90.0)
    assert config.local_root == tmp_path / "blobs"
    assert (made.storage.cache, made.storage.cache_gib) == (tmp_path / "ciphertext", 7)


@pytest.mark.parametrize(
    "storage",
    [
        {"": {"put": "ftp"}},
        {"": {"silent_s": 4}},
        {"": {"put": "https"}},
        {"": {"put": "ipfs"}},
        {"": {"put": "s3"}},
        {"": {"pot": "file"}},
        {"ipfs": {"apo": "x"}},
        {"s3": {"prefix": "x"}},
        {"s3": {"bucket": "x", "secret_key": "y"}},
        {"web": {"allow_networks": ["10.0.0.1/8"]}},
        {"web": {"dangerous_allow_loopback": "yes"}},
        {"cache": {"gib": 0}},
    ],
)
def test_refuses_what_it_does_not_know(tmp_path: Path, storage: dict[str, dict[str, object]]) -> None:
    with pytest.raises(BadInputError):
        profile(tmp_path, storage)
