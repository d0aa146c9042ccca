"""Real servers for the tests of storage: IPFS nodes, an S3 service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class IpfsNode:
    """A node of scripts/ipfs-node in a process of its own."""

    def __init__(self, repo: Path) -> None:
        command = [str(ROOT / "scripts" / "ipfs-node" / "start"), str(repo)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.api: str = ready["api"]
        self.swarm: str = ready["swarm"][0]

    def stop(self) -> None:
        """End it, by its id."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="session")
def ipfs_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[IpfsNode, IpfsNode]]:
    """Two nodes; the second one is connected to the first."""
    from marketplace.storage.kubo import Kubo
    from marketplace.storage.patience import Patience

    started: list[IpfsNode] = []
    try:
        for name in ("one", "two"):
            started.append(IpfsNode(tmp_path_factory.mktemp("ipfs") / name))
        Kubo(started[1].api, Patience()).call("swarm/connect", arg=started[0].swarm)
        yield started[0], started[1]
    finally:
        for node in started:
            node.stop()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 service (moto's server) in this process, with a bucket `blobs`, and credentials for it."""
    import boto3
    from moto.server import ThreadedMotoServer

    secrets = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in secrets.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            endpoint = f"http://{host}:{port}"
            client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
            client.create_bucket(Bucket="blobs")
            yield endpoint
        finally:
            server.stop()
