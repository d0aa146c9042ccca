"""Statements from vendors' services: everything a verifier asks for, cached until its date, from hosts of the
settings alone; services that are slow, lying, cut or away leave a refusal in words, and nothing is kept."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.pck import parse_chain, parse_extension
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.nvidia.evidence import GpuEvidence
from enclave_runtime.attestation.nvidia.needs import manifest_ids
from enclave_runtime.attestation.sev_snp.layout import parse_report
from enclave_runtime.attestation.sev_snp.products import decode_tcb
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.attestation.simulated.snp import SnpWorld
from marketplace.collateral import CollateralUnavailableError, VendorCollateral, open_source
from marketplace.collateral.cache import Cache, Kept
from marketplace.collateral.hosts import Hosts
from marketplace.collateral.library import Library, Statement
from marketplace.collateral.web import Answer, Question, Web
from marketplace.errors import BadInputError
from tests.evidence.snp_case import SnpCase
from tests.fakes.cvm import FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.fakes.vendor_services import (
    Reply,
    VendorServices,
    amd_routes,
    intel_routes,
    ocsp_route,
    rim_routes,
)

NOW = 1_790_000_000
HOUR, DAY = 3600, 86_400
TDX = SimulatedTdx()
TD = TDX.bundle(FakeCvm(), bytes(32)).evidence
FMSPC = parse_extension(parse_chain(parse_quote(TD.quote).signatures.cert_data)[0]).fmspc.hex()
TCB_PATH = f"/tdx/certification/v4/tcb?fmspc={FMSPC}"
ROOT_PATH = "/sgx/certification/v4/rootcacrl"


@pytest.fixture
def services() -> Iterator[VendorServices]:
    with VendorServices(intel_routes(TDX.collateral(NOW).need("intel"), FMSPC)) as running:
        yield running


def source_of(running: VendorServices, folder: Path, *, longest_s: float = 10.0) -> VendorCollateral:
    """Return a source whose every vendor is the fake."""
    folder.mkdir(exist_ok=True)
    lines = [
        f'{name} = "{running.url}{"/ocsp" if name == "ocsp" else ""}"'
        for name in ("pccs", "kds", "rim", "ocsp")
    ]
    (folder / "hosts.toml").write_text("\n".join(lines))
    return VendorCollateral(folder, web=Web(longest_s=longest_s))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.entry"))


@pytest.mark.parametrize("hexed", [False, True])
def test_intels_statements_come_as_they_were_signed(tmp_path, hexed):
    expected = TDX.collateral(NOW)
    with VendorServices(intel_routes(expected.need("intel"), FMSPC, hexed=hexed)) as running:
        assert source_of(running, tmp_path)(TD, NOW) == expected


@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
@pytest.mark.parametrize("version", [2, 3])
def test_amds_statements_are_found_by_chip_and_levels(tmp_path, product, version):
    if (product, version) == ("Turin", 2):
        return  # there is no such report
    case = SnpCase(SnpWorld(version=version), product)
    raw = case.report
    assert raw is not None
    report = parse_report(raw)[0]
    tcb = decode_tcb(report.reported_tcb, product)
    chip = report.chip_id[:8] if product == "Turin" else report.chip_id
    levels = f"blSPL={tcb.bl:02}&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.ucode:02}"
    levels = f"fmcSPL={tcb.fmc:02}&{levels}" if product == "Turin" else levels
    expected = case.collateral
    assert expected is not None
    with VendorServices(amd_routes(expected.need("amd"), chip.hex(), levels)) as running:
        assert source_of(running, tmp_path)(Evidence(TeeKind.SEV_SNP, raw), NOW) == expected


@pytest.mark.parametrize(("world", "words"), [
    (SnpWorld(vlek=True), "VLEK"), (SnpWorld(masked_chip=True), "masks the chip"),
])  # fmt: skip
def test_chips_that_nobody_can_name_are_not_asked_about(services, tmp_path, world, words):
    report = SnpCase(world).report
    assert report is not None
    evidence = Evidence(TeeKind.SEV_SNP, report)
    with pytest.raises(CollateralUnavailableError, match=words):
        source_of(services, tmp_path)(evidence, NOW)
    assert not services.asked


def test_nvidias_statements_cover_devices_and_signers_of_manifests(tmp_path):
    vendor, world = SimulatedNvidia.create(), GpuWorld(gpus=2, switches=1)
    gpu = vendor.evidence(bytes(32), world)
    expected = vendor.collateral(NOW, world)
    names = manifest_ids(
        GpuEvidence.from_bytes(gpu)
    )  # sorted: driver, VBIOS, switch, as the vendor lists them
    routes = intel_routes(TDX.collateral(NOW).need("intel"), FMSPC) | rim_routes(
        dict(zip(names, expected.rims, strict=True))
    )
    with VendorServices({**routes, "/ocsp": ocsp_route(expected)}) as running:
        source = source_of(running, tmp_path)
        found = source(replace(TD, gpu=gpu), NOW)
        assert found.need("nvidia").rims == expected.rims
        assert set(found.need("nvidia").ocsp) == set(expected.ocsp)
        assert found.intel is not None
        asked = len(running.asked)
        assert source(replace(TD, gpu=gpu), NOW + 60) == found
        assert len(running.asked) == asked, "a second time asks nobody"


def test_statements_are_kept_asked_for_anew_and_outlive_their_vendor_until_their_date(tmp_path):
    first = TDX.collateral(NOW)
    with VendorServices(intel_routes(first.need("intel"), FMSPC)) as running:
        source = source_of(running, tmp_path)
        assert source(TD, NOW) == source(TD, NOW + HOUR - 1) == first
        assert len(running.asked) == 4
        source(TD, NOW + HOUR)
        assert len(running.asked) == 6, "lists are asked for every hour"
        later = TDX.collateral(NOW + 7 * HOUR)
        running.routes = dict(intel_routes(later.need("intel"), FMSPC))
        assert source(TD, NOW + 7 * HOUR) == later
        running.routes = {}
        assert source(TD, NOW + DAY) == later, "the vendor is away, and what it said still holds"
        assert VendorCollateral(tmp_path)(TD, NOW + DAY) == later, "from the disk"
        with pytest.raises(CollateralUnavailableError, match="status 404"):
            source(TD, NOW + 400 * DAY)
        with pytest.raises(CollateralUnavailableError, match="status 404"):
            source(TD, NOW - DAY)  # what was fetched in the future is not used


@pytest.mark.parametrize("spoil", [
    lambda data: b"", lambda data: data[:-1], lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    lambda data: b"\x00" * (1 << 22),
])  # fmt: skip
def test_a_spoiled_entry_is_fetched_again(services, tmp_path, spoil):
    source = source_of(services, tmp_path)
    expected = source(TD, NOW)
    for path in entries(tmp_path):
        path.write_bytes(spoil(path.read_bytes()))
    assert source(TD, NOW) == expected
    assert len(services.asked) == 8
    assert source(TD, NOW) == expected
    assert len(services.asked) == 8


def test_an_entry_under_another_question_counts_as_none(services, tmp_path):
    source = source_of(services, tmp_path)
    expected = source(TD, NOW)
    first, second, *_ = entries(tmp_path)
    first.write_bytes(second.read_bytes())
    assert source(TD, NOW) == expected
    assert len(services.asked) == 5


@pytest.mark.parametrize(("reply", "words"), [
    (Reply(status=404), "status 404"),
    (Reply(status=429), "status 429"),
    (Reply(status=500), "status 500"),
    (Reply(status=302, headers={"Location": "http://127.0.0.2/elsewhere"}), "redirect to 'http://127.0.0.2"),
    (Reply(b"30" * (1 << 17)), "more than 131072 bytes"),
    (Reply(b"30820100" + b"00" * 20, length=200), "RemoteProtocolError"),
    (Reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "compressed"),
    (Reply(b"not hex"), "something else than the root's list"),
    (Reply(b"3082"), "something else than the root's list"),
    (Reply(b""), "something else than the root's list"),
])  # fmt: skip
def test_what_is_no_answer_is_refused_in_words_and_not_kept(services, tmp_path, reply, words):
    services.routes[ROOT_PATH] = reply
    with pytest.raises(CollateralUnavailableError, match=words):
        source_of(services, tmp_path)(TD, NOW)
    assert len(entries(tmp_path)) == 3
    services.routes[ROOT_PATH] = Reply(TDX.collateral(NOW).need("intel").root_ca_crl)
    assert source_of(services, tmp_path)(TD, NOW).intel is not None


@pytest.mark.parametrize("body", [
    b"{}", b"[]", b'{"tcbInfo":[]}', b'{"tcbInfo":{},"signature":"00"}',
    b'{"tcbInfo":{"nextUpdate":5},"signature":""}', b'{"tcbInfo":' + b"[" * 100_000,
    b'{"tcbInfo":{"nextUpdate":"2030-01-01T00:00:00Z"},"signature":"zz"}', b"\xff",
    b'{"tcbInfo":{"nextUpdate":"2030-01-01T00:00:00Z"},"signature":"","more":1}',
])  # fmt: skip
def test_a_statement_of_another_shape_is_refused(services, tmp_path, body):
    services.routes[TCB_PATH] = Reply(body, headers={"TCB-Info-Issuer-Chain": "x"})
    with pytest.raises(CollateralUnavailableError, match="something else than TCB info"):
        source_of(services, tmp_path)(TD, NOW)


def test_a_statement_without_its_issuers_is_refused(services, tmp_path):
    whole = services.routes[TCB_PATH]
    assert isinstance(whole, Reply)
    for headers in ({}, {"TCB-Info-Issuer-Chain": "x" * 20_000}, {"TCB-Info-Issuer-Chain": "%FF"}):
        services.routes[TCB_PATH] = replace(whole, headers=headers)
        with pytest.raises(CollateralUnavailableError, match="no issuer chain"):
            source_of(services, tmp_path)(TD, NOW)


def test_an_old_statement_is_refused_at_once(services, tmp_path):
    with pytest.raises(CollateralUnavailableError, match=r"got TCB info until"):
        source_of(services, tmp_path)(TD, NOW + 400 * DAY)
    assert not entries(tmp_path)


def test_a_service_that_trickles_is_left_in_time(services, tmp_path):
    services.trickle = 0.05  # each byte in time, all of them never
    with pytest.raises(CollateralUnavailableError, match=r"no whole answer in 0\.4 s"):
        source_of(services, tmp_path, longest_s=0.4)(TD, NOW)


def test_a_silent_service_is_left_alone_for_a_while(services, tmp_path):
    expected = source_of(services, tmp_path)(TD, NOW)
    services.trickle = 0.05
    hurried = source_of(services, tmp_path, longest_s=0.3)
    assert hurried(TD, NOW + 7 * HOUR) == expected, "all four are due, and one wait is enough"
    assert len(services.asked) == 5
    clock = [0.0]
    services.trickle = 0.0
    services.routes[ROOT_PATH] = Reply(status=429)
    library = Library(Cache(tmp_path / "other"), Web(), lambda: clock[0])
    wanted = Statement("x", Question(services.url + ROOT_PATH, 9), 1, lambda _: NOW)
    for at, words in ((0, "status 429"), (19, "a moment ago"), (21, "status 429")):
        clock[0] = at
        with pytest.raises(CollateralUnavailableError, match=words):
            library.get(wanted, NOW)


def test_a_service_that_never_answers_and_one_that_is_not_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "hosts.toml").write_text(f'pccs = "{url}"')
        with pytest.raises(CollateralUnavailableError, match=r"no whole answer|Timeout"):
            VendorCollateral(tmp_path, web=Web(longest_s=0.2))(TD, NOW)
    with pytest.raises(CollateralUnavailableError, match="ConnectError"):
        VendorCollateral(tmp_path, web=Web())(TD, NOW)


def test_lying_services_of_nvidia_are_refused(tmp_path):
    vendor = SimulatedNvidia.create()
    gpu = vendor.evidence(bytes(32))
    good = vendor.collateral(NOW)
    names = manifest_ids(GpuEvidence.from_bytes(gpu))
    evidence = Evidence(TeeKind.NITRO, b"document", gpu=gpu)  # nothing is asked about the document
    routes = {**rim_routes(dict(zip(names, good.rims, strict=True))), "/ocsp": ocsp_route(good)}
    tampered = vendor.collateral(NOW, GpuWorld(rim="tampered")).rims[0]
    one = good.ocsp[0]
    bad = {
        f"/v1/rim/{names[0]}": (
            Reply(b"{}"),
            Reply(b'{"rim": "?"}'),
            rim_routes({names[0]: tampered})[f"/v1/rim/{names[0]}"],
        ),
        "/ocsp": (Reply(b""), Reply(bytes.fromhex("30030a0106")), lambda _: Reply(one)),
    }
    for path, replies in bad.items():
        for reply in replies:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            with (
                VendorServices({**routes, path: reply}) as running,
                pytest.raises(CollateralUnavailableError, match="something else than"),
            ):
                source_of(running, folder)(evidence, NOW)


def test_evidence_chooses_no_host_and_says_what_it_cannot_name(services, tmp_path):
    source = source_of(services, tmp_path)
    for evidence in (
        Evidence(TeeKind.TDX, b"quote"),
        Evidence(TeeKind.SEV_SNP, b"report"),
        Evidence(TeeKind.NITRO, b"document", gpu=b"{}"),
    ):
        with pytest.raises(CollateralUnavailableError, match="does not say what to ask"):
            source(evidence, NOW)
    with pytest.raises(CollateralUnavailableError, match="no service hands out"):
        source(Evidence(TeeKind.CCA, b"token"), NOW)
    assert source(Evidence(TeeKind.NITRO, b"document"), NOW) == Collateral()
    assert not services.asked


def test_hosts_are_the_vendors_own_unless_a_file_says_otherwise(tmp_path):
    own = Hosts.load(tmp_path)
    assert own == Hosts()
    assert all(url.startswith("https://") for url in (own.pcs, own.root_crl, own.kds, own.rim, own.ocsp))
    (tmp_path / "hosts.toml").write_text('pccs = "https://pccs.example:8081/"')
    assert Hosts.load(tmp_path) == Hosts(pcs="https://pccs.example:8081", root_crl="")
    for text in (
        'pcs = "https://x"',
        'kds = "file:///etc"',
        "kds = 1",
        'kds = "https://u:p@x"',
        "kds",
        'rim = "https://x?q"',
    ):
        (tmp_path / "hosts.toml").write_text(text)
        with pytest.raises(BadInputError, match=r"hosts\.toml"):
            open_source(f"vendor:{tmp_path}")


def test_the_cache_is_bounded_and_a_disk_that_takes_nothing_is_no_refusal(tmp_path):
    cache = Cache(tmp_path / "few", max_entries=3)
    for number in range(9):
        question = Question(f"http://x/{number}", 10)
        cache.write(question, Kept(Answer(b"%d" % number), NOW, NOW + 1))
        assert cache.read(question) == Kept(Answer(b"%d" % number), NOW, NOW + 1)
    assert len(entries(tmp_path / "few")) == 3
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file")
    cache.write(Question("http://x", 10), Kept(Answer(b""), NOW, NOW))
    assert cache.read(Question("http://x", 10)) is None


def test_a_bundle_says_the_same_offline(services, tmp_path):
    bundle = tmp_path / "bundle.json"
    fetched = source_of(services, tmp_path / "cache")(TD, NOW)
    bundle.write_bytes(fetched.to_bytes())
    assert open_source(f"file:{bundle}")(TD, NOW) == fetched


class Played(Web):
    """A service that answers one thing, without a network."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        super().__init__()
        self.answers = answers

    def ask(self, question: Question) -> Answer:
        return self.answers[question.url]


def answers_of(hosts: Hosts) -> dict[str, Answer]:
    """Return good answers for the TD, by the addresses at which its source asks."""
    good = TDX.collateral(NOW).need("intel")
    replies = intel_routes(good, FMSPC)
    chains = {path: next(iter(reply.headers.values()), "") for path, reply in replies.items()}
    found = {hosts.pcs + path: Answer(reply.body, unquote(chains[path])) for path, reply in replies.items()}
    return found | {hosts.root_crl: Answer(good.root_ca_crl)}


ANSWERS = answers_of(Hosts())


@given(st.data())
def test_whatever_a_service_says_is_taken_or_refused_in_words(data):
    url = data.draw(st.sampled_from(sorted(ANSWERS)))
    body = bytearray(ANSWERS[url].body)
    at = data.draw(st.integers(0, len(body) - 1))
    piece = data.draw(st.binary(max_size=4))
    body[at : at + data.draw(st.integers(0, 40))] = piece
    with TemporaryDirectory() as folder:
        source = VendorCollateral(
            Path(folder), web=Played(ANSWERS | {url: replace(ANSWERS[url], body=bytes(body))})
        )
        try:
            found = source(TD, NOW)
        except CollateralUnavailableError:
            return
        assert source(TD, NOW) == found, "the cache gives back what it took"
