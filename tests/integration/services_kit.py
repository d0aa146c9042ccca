"""Services as processes of their own, on fake nodes and SIMULATED quotes that the real verifier judges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from coincurve import PrivateKey

from enclave_runtime.wire.codec import bytes_from_hex, hex_of, to_json
from enclave_runtime.wire.orders import OrderPreimage, order_id
from enclave_runtime.wire.report_data import Purpose
from marketplace.chain.deployments import Deployment
from marketplace.keybroker.activation import activate, policy_digest
from marketplace.keybroker.config import load_config
from marketplace.sealing.keystore import KeyStore, ScryptCost
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.json_rpc_node import DEPLOYMENT, RpcNode
from tests.fakes.order_world import CLIENT, DOMAIN, NOW, SELLER, named, order_preimage
from tests.fakes.simulated_tdx import SimulatedTdx

__all__ = ["CONTENT_KEY", "PASSPHRASE", "SALT", "BrokerHome", "Service", "certifier_home", "serving"]

ROOT = Path(__file__).parents[2]
CONTENT_KEY, SALT = named("the content key"), named("the salt")
PASSPHRASE = "a passphrase that no log may show"
READY_WITHIN_S = 120.0


@dataclass
class Service:
    """One running service."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    log: Path
    port_file: Path
    ready_after_s: float

    def post(self, path: str, body: object) -> httpx.Response:
        return self.http.post(path, json=body)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal this process alone and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(module: str, config: Path, *, run: str = "a") -> Iterator[Service]:
    """Start `python -m marketplace.<module>` on a free port, wait until it answers, end it afterwards."""
    port_file, log = (
        config.with_name(f"{config.stem}.{run}.port"),
        config.with_name(f"{config.stem}.{run}.log"),
    )
    command = [sys.executable, "-m", f"marketplace.{module}", "--config", str(config)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file)],
            stdout=output,
            stderr=output,
            env=environment,
            cwd=config.parent,
        )
    try:
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() - started > READY_WITHIN_S:
                raise AssertionError(f"{module} did not start: {log.read_text()}")
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port_file.read_text().strip()}", timeout=60) as http:
            assert http.get("/healthz").json()["ok"] is True
            yield Service(process, http, log, port_file, time.monotonic() - started)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def certifier_home(
    folder: Path,
    tdx: SimulatedTdx,
    rpc: str,
    key: PrivateKey,
    *,
    deployment: Deployment = DEPLOYMENT,
    now: int = NOW,
) -> Path:
    """Write a certifier's settings and files into `folder`; return the settings file."""
    folder.mkdir()
    deployment.save(folder / "deployment.json")
    private(folder / "certifier.key", key.secret.hex())
    (folder / "collateral.json").write_bytes(tdx.collateral(now).to_bytes())
    config = folder / "certifier.toml"
    config.write_text(f"""
name = "first"
state_dir = "state"
validity_s = 3600
[key]
file = "certifier.key"
[chain]
rpc = "{rpc}"
deployment = "deployment.json"
[accept]
root_sets = ["{tdx.root_set}"]
unsafe_accept_simulated = "{tdx.root_set}"
measurements = ["{hex_of(tdx.measurement)}"]
[collateral]
"{tdx.root_set}" = "file:collateral.json"
""")
    return config


@dataclass
class BrokerHome:
    """One owner's folder: settings, policy, keystore, grant key; and what a CVM says to its broker.

    The defaults are the world of `tests.fakes.order_world` on fake nodes.
    """

    folder: Path
    tdx: SimulatedTdx
    nodes: list[RpcNode]
    grant_key: PrivateKey
    approve: str = "auto"
    max_uses: int = 5
    rpcs: tuple[str, ...] = ()
    deployment: Deployment = DEPLOYMENT
    now: int = NOW
    manifest: bytes = named("dataset A manifest")
    engine: bytes = named("engine content")
    other: bytes = named("dataset B manifest")
    client: bytes = CLIENT
    seller: bytes = SELLER

    @property
    def config(self) -> Path:
        return self.folder / "broker.toml"

    def write(self) -> BrokerHome:
        """Write every file."""
        self.folder.mkdir()
        self.deployment.save(self.folder / "deployment.json")
        private(self.folder / "grant.key", self.grant_key.secret.hex())
        private(self.folder / "keystore.pass", PASSPHRASE + "\n")
        store = KeyStore.open(
            self.folder / "keystore.json", PASSPHRASE, entropy=os.urandom, cost=ScryptCost(log2_n=14)
        )
        store.put(self.manifest, CONTENT_KEY, SALT)
        (self.folder / "collateral.json").write_bytes(self.tdx.collateral(self.now).to_bytes())
        (self.folder / "policy.toml").write_text(f"""
version = 1
trust_classes = ["{self.tdx.root_set}"]
unsafe_accept_simulated = true
accept_host_clock = true
tees = ["tdx"]
worst_tcb = "UpToDate"
measurements = ["{hex_of(self.tdx.measurement)}"]
engines = ["{hex_of(self.engine)}"]
clients = ["{hex_of(self.client)}"]
other_inputs = ["{hex_of(self.other)}"]
listed_by = ["{hex_of(self.seller)}"]
max_uses = {self.max_uses}
""")
        self.config.write_text(f"""
state_dir = "state"
policy = "policy.toml"
approve = "{self.approve}"
[keystore]
file = "keystore.json"
passphrase_file = "keystore.pass"
[grant_key]
file = "grant.key"
[chain]
rpcs = {json.dumps(self.rpcs or [node.url for node in self.nodes])}
deployment = "deployment.json"
[collateral]
"{self.tdx.root_set}" = "file:collateral.json"
""")
        self.activate()
        return self

    def activate(self) -> None:
        """Put what the files say now in force, as their owner does."""
        config = load_config(self.config)
        activate(config, seen=policy_digest(config), at=self.now)

    def order(self, salt: int = 1) -> tuple[FakeCvm, OrderPreimage]:
        """Return a CVM and an order that every node says runs on it."""
        cvm, preimage = FakeCvm(), order_preimage(self.grant_key, salt=salt)
        for node in self.nodes:
            node.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, OPERATOR)
        return cvm, preimage

    def body(
        self, service: Service, cvm: FakeCvm, preimage: OrderPreimage, operator: bytes = OPERATOR
    ) -> dict[str, object]:
        """Return the honest body of POST /v1/release for dataset A."""
        domain = self.deployment.order_domain
        challenge = bytes_from_hex(service.http.get("/v1/challenge").json()["challenge"], 32)
        bundle = self.tdx.bundle(cvm, challenge, purpose=Purpose.RELEASE, operator=operator)
        place = {"chain_id": domain.chain_id, "order_book": hex_of(domain.verifying_contract)}
        return {
            "request": cvm.request(domain, preimage, 1, challenge).to_json(),
            "bundle": json.loads(bundle.to_bytes()),
            "order": {"domain": place, "preimage": to_json(preimage)},
            "challenge": hex_of(challenge),
        }
