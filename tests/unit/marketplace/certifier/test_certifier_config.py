"""A certifier's settings: strict, and loud about simulated TEEs (marketplace.certifier.config)."""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.tsm.attest import REPORTS
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import EnclaveError
from marketplace.certifier.__main__ import main
from marketplace.certifier.config import load_config
from marketplace.certifier.wiring import attesters_of
from marketplace.errors import BadInputError
from marketplace.service.audit import AuditLog
from tests.fakes.cvm import DEV_ROOT, MEASUREMENT

GOOD = f"""
name = "first"
state_dir = "state"
validity_s = 3600
[key]
file = "key"
[chain]
rpc = "http://127.0.0.1:8545"
deployment = "deployment.json"
[accept]
root_sets = ["intel"]
measurements = ["{hex_of(MEASUREMENT)}"]
[collateral]
intel = "file:collateral.json"
"""
SIMULATED = GOOD.replace('["intel"]', f'["{DEV_ROOT}"]').replace("\nintel =", f'\n"{DEV_ROOT}" =')


def settings(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "certifier.toml"
    path.write_text(text)
    return path


def test_reads_all_with_paths_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(settings(tmp_path, GOOD))
    assert config.state_dir == tmp_path / "state" and config.key.file == tmp_path / "key"
    assert config.policy.root_sets == {"intel"} and config.policy.measurements == {MEASUREMENT}
    assert config.policy.tcb_statuses == {"UpToDate"} and config.policy.simulated is None
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 0)
    config.policy.check_roots(RootSet.intel())


def test_a_simulated_root_must_be_named_twice_and_loudly(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="SIMULATED"):
        load_config(settings(tmp_path, SIMULATED))
    loud = f'[accept]\nunsafe_accept_simulated = "{DEV_ROOT}"'
    policy = load_config(settings(tmp_path, SIMULATED.replace("[accept]", loud))).policy
    assert policy.simulated is not None and policy.simulated.root_set == DEV_ROOT
    other = loud.replace(DEV_ROOT, "dev:" + "0" * 64)
    for text in (SIMULATED.replace("[accept]", other), GOOD.replace("[accept]", loud)):
        with pytest.raises(BadInputError, match="SIMULATED"):
            load_config(settings(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "first"', ""),
        ("validity_s = 3600", "validity_s = 1"),
        ("validity_s = 3600", f"validity_s = {31 * 86_400 + 1}"),
        ("validity_s = 3600", "validity = 3600"),
        ('root_sets = ["intel"]', 'root_sets = ["amd"]'),
        ('root_sets = ["intel"]', 'root_sets = ["intel"]\nunsafe_accept_simulated = "intel"'),
        (hex_of(MEASUREMENT), "0x12"),
        ("[collateral]\nintel", "[collateral]\nnonsense"),
        ('intel = "file:collateral.json"', ""),
        ("file:collateral.json", "gopher:collateral"),
        ("[accept]", '[accept]\nworst_tcb = "Fine"'),
    ],
)
def test_refuses_missing_wrong_and_unknown_settings(tmp_path: Path, old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(BadInputError):
        load_config(settings(tmp_path, GOOD.replace(old, new)))


def test_command_line_verifies_the_log_and_shows_the_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(settings(tmp_path, GOOD))
    assert main(["verify-log", "--config", path]) == 2
    (tmp_path / "state").mkdir()
    head = AuditLog(tmp_path / "state" / "audit.log").append("certified", {}, at=1)
    (tmp_path / "key").write_text("11" * 32)
    (tmp_path / "key").chmod(0o600)
    capsys.readouterr()
    assert main(["--config", path, "verify-log"]) == 0
    assert capsys.readouterr().out == f"1 entries, head {hex_of(head.digest)}\n"
    assert main(["address", "--config", path]) == 0
    assert capsys.readouterr().out.strip() == "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"


def test_x509_files_come_together_or_are_made(tmp_path: Path) -> None:
    config = load_config(settings(tmp_path, GOOD))
    assert config.x509.made and config.x509.key == tmp_path / "state" / "x509-root.key"
    both = GOOD + '[x509]\nkey = "ca.key"\ncertificate = "ca.pem"\nurl = "https://c.example"\n'
    config = load_config(settings(tmp_path, both))
    assert not config.x509.made and config.x509.certificate == tmp_path / "ca.pem"
    with pytest.raises(BadInputError, match="x509"):
        load_config(settings(tmp_path, GOOD + '[x509]\nkey = "ca.key"\n'))


def test_a_certifier_that_claims_a_cvm_where_there_is_none_does_not_start(tmp_path: Path) -> None:
    config = load_config(settings(tmp_path, GOOD + '[attestation]\ndevice = "tsm"\n'))
    assert config.device == "tsm" and attesters_of("none") == (None, None)
    if not REPORTS.exists():
        with pytest.raises(EnclaveError, match="not a confidential VM"):
            attesters_of(config.device)
    with pytest.raises(BadInputError, match="device"):
        load_config(settings(tmp_path, GOOD + '[attestation]\ndevice = "abacus"\n'))


def test_a_certifier_in_a_composite_cvm_asks_its_gpus_too() -> None:
    class Cpu:
        tee = TeeKind.TDX

        def evidence(self, report_data: bytes) -> Evidence:
            return Evidence(TeeKind.TDX, report_data)

    class Gpus:
        def evidence(self, nonce: bytes) -> bytes:
            return b"gpus" + nonce

    attest, devices = attesters_of("tsm", lambda: (Cpu(), Gpus()))
    assert attest is not None and attest(b"1").quote == b"1"
    assert devices is not None and devices(b"2") == b"gpus2"
    _, none = attesters_of("tsm", lambda: (Cpu(), None))
    assert none is None
