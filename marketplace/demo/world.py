"""The demo's world: a chain, a simulated platform, certifiers and brokers, and a home for every party.

Everything lies in one folder and listens on free ports of the loopback address; `World.stop` ends it all.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coincurve import PrivateKey

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.simulated.client import PlatformClient, PlatformError
from enclave_runtime.attestation.simulated.launch import sandbox_base
from enclave_runtime.attestation.simulated.machine import measurement_of
from enclave_runtime.attestation.simulated.measure import locked_requirements, measure_runtime
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.orders import OrderPreimage, order_id
from enclave_runtime.wire.signatures import address_of
from marketplace.chain.deployments import Deployment
from marketplace.chain.devchain import DevChain
from marketplace.demo.chainwork import deploy_market
from marketplace.demo.homes import OWNERS, Home, make_homes
from marketplace.demo.processes import Child, Processes
from marketplace.demo.scenario import EXAMPLE, ROOT, TOKEN
from marketplace.demo.settings import (
    Accept,
    broker_settings,
    certifier_settings,
    policy_text,
    put_in_force,
    write_secret,
)
from marketplace.sdk.author import digest
from marketplace.sdk.profile import Profile

__all__ = ["CERTIFIERS", "HARDWARE", "Hardware", "World", "platform_argv"]

CERTIFIERS: Final = ("certifier-1", "certifier-2")
_READY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the demo's platform plays: a kind of TEE, and the GPUs of its CVMs."""

    tee: TeeKind = TeeKind.TDX
    gpus: int = 0

    def options(self) -> tuple[str, ...]:
        """Return the platform's options."""
        return ("--tee", self.tee.value, "--gpus", str(self.gpus))


HARDWARE: Final = {
    "tdx": Hardware(),
    "sev-snp": Hardware(TeeKind.SEV_SNP),
    "tdx+2gpu": Hardware(TeeKind.TDX, 2),
}
"""What `scripts/demo --tee` takes."""


@dataclass(slots=True)
class World:
    """Where everything is. Made by `World.start`."""

    folder: Path
    processes: Processes
    chain: DevChain
    homes: dict[str, Home]
    deployment: Deployment
    accept: Accept
    engines: tuple[str, ...]
    hardware: Hardware = Hardware()
    algorithm: Algorithm = Algorithm.BLAKE3
    urls: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        folder: Path,
        processes: Processes,
        *,
        approve: str = "auto",
        more_engines: tuple[Path, ...] = (),
        hardware: Hardware = HARDWARE["tdx"],
        algorithm: Algorithm = Algorithm.BLAKE3,
    ) -> World:
        """Start the world in an empty folder.

        Args:
            approve: "auto", or "hand" for brokers that wait for a person.
            more_engines: folders of further engines that the hospitals accept (the attacks bring theirs).
            hardware: what the simulated platform plays.
            algorithm: hash of the segments of what owners seal; SHA-256 is the FIPS profile.
        """
        socket = folder / "platform.sock"
        platform = processes.start(
            "platform", platform_argv(folder / "platform", socket, *hardware.options())
        )
        with ThreadPoolExecutor(3) as pool:
            chain = pool.submit(_start_chain, folder / "logs" / "chain.log")
            homes = pool.submit(make_homes, folder)
            measured = measure_runtime(ROOT, locked_requirements(ROOT), sandbox_base())
            platform.wait_until(lambda: _answers(socket), timeout_s=_READY_S)
            facts = PlatformClient(socket).describe()
        collateral = PlatformClient(socket).collateral(int(time.time()))
        (folder / "collateral.json").write_bytes(collateral.to_bytes())
        accept = Accept(
            facts.root_set,
            (hex_of(measurement_of(facts.tee, measured)),),
            facts.tee,
            facts.gpus,
            facts.gpu_root_set,
        )
        engines = tuple(
            hex_of(digest(path, OfferKind.ENGINE, algorithm=algorithm))
            for path in (EXAMPLE / "engine", *more_engines)
        )
        certifier_keys = [PrivateKey() for _ in CERTIFIERS]
        deployment = deploy_market(
            chain.result(), homes.result(), accept, [address_of(key) for key in certifier_keys]
        )
        deployment.save(folder / "deployment.json")
        market = (chain.result(), homes.result(), deployment)
        world = cls(folder, processes, *market, accept, engines, hardware, algorithm)
        world._start_services(certifier_keys, approve)
        world.write_profiles()
        return world

    @property
    def platform_socket(self) -> Path:
        """The simulated platform's socket."""
        return self.folder / "platform.sock"

    @property
    def collateral(self) -> str:
        """Where this world's relying parties get collateral: from the vendor, at chain time."""
        return f"simulated:{self.platform_socket}"

    def order_id(self, preimage: OrderPreimage) -> bytes:
        """Return the id of an order in this market."""
        return order_id(self.deployment.order_domain, preimage.terms)

    def stop(self) -> None:
        """End every process of this world, and every party's connection to its chain."""
        for home in self.homes.values():
            home.close()
        self.processes.stop()
        self.chain.stop()

    def write_profiles(self) -> None:
        """Write every party's settings file."""
        for slug, home in self.homes.items():
            owner = None
            if slug in OWNERS:
                owner = {"grant_key": "grant-key", "release_url": self.urls[slug]}
                owner["algorithm"] = self.algorithm.value
            Profile.write(
                home.path,
                rpc=[self.chain.url],
                deployment=self.folder / "deployment.json",
                key="wallet.key",
                passphrase="passphrase",  # noqa: S106 - the name of a file
                store=self.folder / "store",
                content_keys="content-keys.json",
                trust=self.trust(),
                owner=owner,
                provider=self.provider(home, 0) if slug in ("provider", "operator") else None,
            )

    def start_broker(self, slug: str, *, approve: str = "auto", port: str = "0") -> Child:
        """Start one owner's broker and remember its address."""
        path = self.homes[slug].path
        settings = broker_settings(
            self.accept,
            rpc=self.chain.url,
            deployment=self.folder / "deployment.json",
            collateral=self.collateral,
            approve=approve,
        )
        (path / "broker.toml").write_text(settings)
        price = 0 if slug == "centre" else TOKEN
        policy = policy_text(
            self.accept,
            engines=self.engines,
            clients=(self.homes["centre"].text,),
            listed_by=self.homes[slug].text,
            min_price_due=price,
        )
        (path / "policy.toml").write_text(policy)
        put_in_force(path / "broker.toml")
        return self._start_service(f"broker-{slug}", "marketplace.keybroker", path / "broker.toml", port)

    def restart_broker(self, slug: str) -> None:
        """Start a stopped broker again, on the port that its manifests name."""
        port = self.urls[slug].rpartition(":")[2]
        self.wait_for(slug, self.start_broker(slug, port=port))

    def wait_for(self, slug: str, child: Child) -> str:
        """Wait until a service answers, and return its URL."""
        port_file = self._port_file(child.name)
        child.wait_until(port_file.exists, timeout_s=_READY_S)
        self.urls[slug] = f"http://127.0.0.1:{port_file.read_text().strip()}"
        return self.urls[slug]

    def _start_services(self, certifier_keys: list[PrivateKey], approve: str) -> None:
        children: dict[str, Child] = {}
        for name, key in zip(CERTIFIERS, certifier_keys, strict=True):
            children[name] = self.start_certifier(name, key, collateral=self.collateral)
        for slug in OWNERS:
            children[slug] = self.start_broker(slug, approve=approve)
        for slug, child in children.items():
            self.wait_for(slug, child)

    def start_certifier(self, name: str, key: PrivateKey, *, collateral: str) -> Child:
        """Start one certifier with its own key and source of collateral."""
        path = self.folder / name
        write_secret(path / "key", key.to_hex() + "\n")
        settings = certifier_settings(
            name,
            self.accept,
            rpc=self.chain.url,
            deployment=self.folder / "deployment.json",
            collateral=collateral,
        )
        (path / "certifier.toml").write_text(settings)
        return self._start_service(name, "marketplace.certifier", path / "certifier.toml")

    def _start_service(self, name: str, module: str, config: Path, port: str = "0") -> Child:
        port_file = self._port_file(name)
        port_file.unlink(missing_ok=True)
        argv = [sys.executable, "-m", module, "--config", str(config), "--port-file", str(port_file)]
        argv += ["--port", port]
        return self.processes.start(name, argv)

    def _port_file(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.port"

    def trust(self) -> dict[str, object]:
        """Return what every party of this world believes, as a settings section."""
        return {
            "root_set": self.accept.root_set,
            "unsafe_accept_simulated": True,
            "collateral": self.collateral,
            "measurements": list(self.accept.measurements),
            "tees": [self.accept.tee.value],
            "gpu": self.accept.gpu_rules(),
        }

    def provider(self, home: Home, compute_offer: int) -> dict[str, object]:
        """Return an agent's settings section."""
        return {
            "compute_offer": compute_offer,
            "platform_socket": self.platform_socket,
            "socket_dir": self.folder / "cvms",
            "journal": home.path / "agent.sqlite3",
            "certifiers": [self.urls[name] for name in CERTIFIERS],
            "max_lock": str(400 * TOKEN),
        }


def _answers(socket: Path) -> bool:
    """Return whether the platform takes connections: its socket is there a moment before it does."""
    try:
        return bool(PlatformClient(socket).root_set())
    except PlatformError:
        return False


def _start_chain(log: Path) -> DevChain:
    """Start a chain that mines at once and, so that its time goes on, every second."""
    return DevChain.start(block_time_s=1, log=log, extra=("--mixed-mining",))


def platform_argv(state: Path, socket: Path, *options: str) -> list[str]:
    """Return the command line of a simulated platform."""
    module = "enclave_runtime.attestation.simulated"
    return [sys.executable, "-m", module, "--state", str(state), "--socket", str(socket), *options]
