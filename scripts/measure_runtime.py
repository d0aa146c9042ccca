#!/usr/bin/env python3
"""Prints the reference measurement of a runtime release, computed from its files alone, as JSON.

ReferenceValues and every policy are fed from it. By default it measures this checkout as the SIMULATED
platform measures it. With --firmware or --event-log it computes the registers of a real TDX guest as far as
files say them: MRTD from the firmware, RTMR1 and RTMR2 from kernel, initrd and command line, and whatever a
boot log recorded on a machine of the same shape replays to; RTMR0 comes from no file. A register that nothing
gives leaves the measurement out, and is named under "missing". With --tee sev-snp and --firmware it computes
the launch digest of a guest that QEMU starts. Nothing is written.

    python scripts/measure_runtime.py --tee sev-snp
    python scripts/measure_runtime.py --check reference.json
    python scripts/measure_runtime.py --firmware OVMF.fd --kernel bzImage --initrd initrd --cmdline "ro" \\
        --event-log ccel.bin
    python scripts/measure_runtime.py --tee sev-snp --firmware OVMF.fd --kernel bzImage --initrd initrd \\
        --cmdline "ro" --vcpus 8 --vcpu-signature a10f10
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from enclave_runtime.attestation.dcap.ccel import parse_any_log  # noqa: E402
from enclave_runtime.attestation.dcap.registers import TdxRegisters  # noqa: E402
from enclave_runtime.attestation.dcap.rtmr import ZERO_REGISTER, replay  # noqa: E402
from enclave_runtime.attestation.model import TeeKind  # noqa: E402
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters  # noqa: E402
from enclave_runtime.attestation.simulated.launch import sandbox_base  # noqa: E402
from enclave_runtime.attestation.simulated.machine import KINDS, measurement_of  # noqa: E402
from enclave_runtime.attestation.simulated.measure import (  # noqa: E402
    Measured,
    locked_requirements,
    measure_runtime,
)
from enclave_runtime.attestation.simulated.snp.measure import registers_of  # noqa: E402
from enclave_runtime.wire.errors import WireError  # noqa: E402
from scripts.measurelib import image, snp, tdvf  # noqa: E402

MAX_FILE_BYTES = 1 << 30
SEPT_VE_DISABLE = "0000001000000000"
XFAM = "e702060000000000"


def main(argv: list[str] | None = None) -> int:
    """Print the measurement; return 1 where it cannot be computed or differs from --check."""
    args = arguments(argv)
    try:
        found = computed(args)
        differences = compare(json.loads(args.check.read_bytes()), found) if args.check else []
    except (OSError, WireError, ValueError) as error:
        print(f"measure_runtime: {error}", file=sys.stderr)
        return 1
    if not args.check:
        print(json.dumps(found) if args.json else json.dumps(found, indent=2))
        return 0
    for line in differences:
        print(line, file=sys.stderr)
    word = "differs from" if differences else "is"
    print(f"measure_runtime: the measurement {word} that of {args.check}", file=sys.stderr)
    return 1 if differences else 0


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--check", type=Path, help="compare with this earlier output; 1 where it differs")
    here = parser.add_argument_group("the runtime on a SIMULATED platform")
    here.add_argument("--tee", choices=[kind.value for kind in KINDS], default=TeeKind.TDX.value)
    here.add_argument("--runtime-dir", type=Path, default=ROOT, help="directory with enclave_runtime/")
    here.add_argument("--requirements", type=Path, nargs="*", help="locked requirements of the runtime")
    here.add_argument(
        "--sandbox-base",
        metavar="JSON",
        help='of the machine that will run it, as printed under "sandbox_base" there; default: of this one',
    )
    there = parser.add_argument_group("a real TDX image")
    there.add_argument("--firmware", type=Path, help="TDX virtual firmware (OVMF.fd): MRTD")
    there.add_argument("--kernel", type=Path, help="bzImage that QEMU boots: RTMR1")
    there.add_argument(
        "--separator",
        choices=("rtmr1", "rtmr0"),
        default="rtmr1",
        help="with --kernel: where this firmware puts the separator behind it; an event log tells",
    )
    there.add_argument("--initrd", type=Path, help="with --cmdline: RTMR2")
    there.add_argument("--cmdline", help="the kernel's command line, without QEMU's own initrd= in front")
    there.add_argument("--event-log", type=Path, help="trusted boot log (CCEL data or JSON): what is missing")
    for name, default in (
        ("mrtd", None),
        ("mr-config-id", ZERO_REGISTER.hex()),
        ("mr-owner", ZERO_REGISTER.hex()),
        ("mr-owner-config", ZERO_REGISTER.hex()),
        ("td-attributes", SEPT_VE_DISABLE),
        ("xfam", XFAM),
    ):
        there.add_argument(f"--{name}", type=bytes.fromhex, default=default, metavar="HEX")
    add_snp_options(parser)
    return parser.parse_args(argv)


def add_snp_options(parser: argparse.ArgumentParser) -> None:
    """Add what a real SEV-SNP guest is told beside its image."""
    there = parser.add_argument_group("a real SEV-SNP image, started by QEMU (with --tee sev-snp --firmware)")
    there.add_argument("--vcpus", type=int, default=1, help="how many processors it starts with")
    for name, default, words in (
        ("vcpu-signature", None, "CPUID 1 EAX of QEMU's model: a10f10 EPYC-Genoa, b00f00 EPYC-Turin"),
        ("sev-features", 1, "SEV_FEATURES of its processors; 201 with Secure TSC"),
        ("guest-policy", 0x30000, "the policy that it is launched with"),
    ):
        there.add_argument(f"--{name}", type=hexadecimal, default=default, metavar="HEX", help=words)
    there.add_argument("--host-data", type=bytes.fromhex, default=bytes(32), metavar="HEX", help="32 bytes")


def hexadecimal(text: str) -> int:
    """Return a number from its hex digits."""
    return int(text, 16)


def computed(args: argparse.Namespace) -> dict[str, Any]:
    """Return the measurement that is asked for."""
    if not is_real(args):
        return simulated(args)
    return real_snp(args) if args.tee == TeeKind.SEV_SNP.value else real(args)


def is_real(args: argparse.Namespace) -> bool:
    """Return whether a real image is asked for."""
    return any(value is not None for value in (args.firmware, args.kernel, args.event_log, args.mrtd))


def simulated(args: argparse.Namespace) -> dict[str, Any]:
    """Return the reference of a checkout on the simulated platform."""
    requirements = args.requirements or locked_requirements(args.runtime_dir)
    base = sandbox_base() if args.sandbox_base is None else args.sandbox_base.encode()
    measured = measure_runtime(args.runtime_dir, requirements, base)
    tee = TeeKind(args.tee)
    return {
        "tee": tee.value,
        "platform": "SIMULATED",
        "sandbox_base": base.decode(),
        "measurement": measurement_of(tee, measured).hex(),
        "registers": registers(tee, measured),
        "events": json.loads(measured.event_log),
    }


def registers(tee: TeeKind, measured: Measured) -> dict[str, str]:
    """Return the launch registers in hex, by name."""
    if tee is TeeKind.SEV_SNP:
        return registers_of(measured).to_json()
    return measured.registers.to_json()


def real(args: argparse.Namespace) -> dict[str, Any]:
    """Return the registers of a real TDX guest, and its measurement where none is missing."""
    if (args.initrd is None) != (args.cmdline is None):
        raise WireError("a TDX image: got one of --initrd and --cmdline, expected both")
    known: dict[str, bytes] = {}
    sources: dict[str, str] = {}
    if args.event_log is not None:
        log = parse_any_log(read(args.event_log))
        known |= {f"rtmr{i}": value for i, value in enumerate(replay(log)[:3])}
        sources |= {f"rtmr{i}": f"replay of {args.event_log.name}" for i in range(3)}
    if args.kernel is not None:
        value = image.rtmr1(read(args.kernel), separator=args.separator == "rtmr1")
        learn(known, sources, "rtmr1", value, args.kernel.name)
    if args.initrd is not None:
        value = image.rtmr2(args.cmdline, read(args.initrd))
        learn(known, sources, "rtmr2", value, f"command line and {args.initrd.name}")
    if args.firmware is not None:
        learn(known, sources, "mrtd", tdvf.mrtd(read(args.firmware)), args.firmware.name)
    for name in ("mrtd", "mr_config_id", "mr_owner", "mr_owner_config", "td_attributes", "xfam"):
        if getattr(args, name) is not None:
            learn(known, sources, name, getattr(args, name), "command line")
    missing = [field.name for field in fields(TdxRegisters) if field.name not in known]
    return {
        "tee": TeeKind.TDX.value,
        "platform": "Intel TDX",
        "measurement": None if missing else TdxRegisters(**known).measurement().hex(),
        "registers": {name: value.hex() for name, value in known.items()},
        "sources": sources,
        "missing": missing,
    }


def real_snp(args: argparse.Namespace) -> dict[str, Any]:
    """Return the registers and the measurement of a real SEV-SNP guest that QEMU starts."""
    if args.firmware is None or args.vcpu_signature is None:
        raise WireError("an SEV-SNP image: got no --firmware or no --vcpu-signature, expected both")
    if args.event_log is not None or args.mrtd is not None:
        raise WireError("an SEV-SNP image: got --event-log or --mrtd, which are of TDX")
    if args.kernel is None and (args.initrd is not None or args.cmdline is not None):
        raise WireError("an SEV-SNP image: got --initrd or --cmdline without --kernel, which brings them")
    if len(args.host_data) != 32:
        raise WireError(f"--host-data: got {len(args.host_data)} bytes, expected 32")
    hashes = None
    if args.kernel is not None:
        initrd = b"" if args.initrd is None else read(args.initrd)
        hashes = snp.kernel_hashes(read(args.kernel), initrd, args.cmdline or "")
    digest = snp.launch_digest(
        read(args.firmware),
        vcpus=args.vcpus,
        signature=args.vcpu_signature,
        features=args.sev_features,
        hashes=hashes,
    )
    found = SnpRegisters(digest, args.host_data, args.guest_policy)
    return {
        "tee": TeeKind.SEV_SNP.value,
        "platform": "AMD SEV-SNP",
        "measurement": found.digest().hex(),
        "registers": found.to_json(),
    }


def learn(known: dict[str, bytes], sources: dict[str, str], name: str, value: bytes, source: str) -> None:
    """Put a register down; two sources that disagree are refused."""
    if known.setdefault(name, value) != value:
        raise WireError(f"{name}: got {value.hex()} from {source}, and {known[name].hex()} {sources[name]}")
    sources[name] = f"{sources[name]} and {source}" if name in sources else source


def read(path: Path) -> bytes:
    """Return a file of bounded size."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise WireError(f"{path.name}: got more than {MAX_FILE_BYTES} bytes")
    return path.read_bytes()


def compare(reference: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return what differs, in words."""
    lines = [
        f"{name}: got {found.get(name)}, expected {reference.get(name)}"
        for name in ("tee", "platform", "sandbox_base", "measurement")
        if found.get(name) != reference.get(name)
    ]
    theirs, ours = reference.get("registers", {}), found["registers"]
    lines += [
        f"register {name}: got {ours.get(name)}, expected {theirs.get(name)}"
        for name in sorted({*theirs, *ours})
        if ours.get(name) != theirs.get(name)
    ]
    expected = {event["event"]: event["digest"] for event in reference.get("events", [])}
    got = {event["event"]: event["digest"] for event in found.get("events", [])}
    lines += [
        f"part {name} differs" for name in sorted({*expected, *got}) if got.get(name) != expected.get(name)
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
