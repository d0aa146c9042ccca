"""The filter is run instruction by instruction, as the kernel would, for every system call number."""

import errno
import struct

import pytest

from enclave_runtime.engines import seccomp
from enclave_runtime.engines.limits import SandboxError

X86_64 = 0xC000003E
ALLOW, KILL = 0x7FFF0000, 0x80000000
LAST_CALL = 600  # above every number that a kernel knows today


def fails(code: int) -> int:
    return 0x00050000 | code


def evaluate(program: bytes, number: int, *arguments: int, arch: int = X86_64) -> int:
    """A classic BPF machine, as far as the filter needs one."""
    words = [argument & (1 << 64) - 1 for argument in (*arguments, *([0] * (6 - len(arguments))))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *words)
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
            continue
        tests = {0x15: accumulator == value, 0x35: accumulator >= value, 0x25: accumulator > value}
        at += if_true if (tests | {0x45: bool(accumulator & value)})[code] else if_false


@pytest.fixture(scope="module")
def program() -> bytes:
    return seccomp.program()


def test_allows_exactly_the_listed_calls(program):
    for number in set(range(LAST_CALL)) - seccomp.FILTERED:
        expected = ALLOW if number in seccomp.ALLOWED else fails(errno.ENOSYS)
        assert evaluate(program, number) == expected, number


def test_lists_are_ascending_and_apart():
    flat = [bound for bounds in seccomp._RANGES for bound in bounds]
    assert flat == sorted(flat)
    assert not seccomp.ALLOWED & seccomp.FILTERED


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("shmget", 29),
        ("ptrace", 101),
        ("setsid", 112),
        ("setpgid", 109),
        ("mknod", 133),
        ("personality", 135),
        ("pivot_root", 155),
        ("chroot", 161),
        ("mount", 165),
        ("swapon", 167),
        ("reboot", 169),
        ("init_module", 175),
        ("keyctl", 250),
        ("unshare", 272),
        ("vmsplice", 278),
        ("perf_event_open", 298),
        ("open_by_handle_at", 304),
        ("setns", 308),
        ("process_vm_readv", 310),
        ("memfd_create", 319),
        ("bpf", 321),
        ("userfaultfd", 323),
        ("io_uring_setup", 425),
        ("clone3", 435),
        ("mount_setattr", 442),
    ],
)
def test_refuses_what_breaks_sandboxes(program, name, number):
    assert evaluate(program, number) == fails(errno.ENOSYS), name


@pytest.mark.parametrize("call", [seccomp.SOCKET, seccomp.SOCKETPAIR])
@pytest.mark.parametrize("family", range(48))
def test_sockets_are_local_only(program, call, family):
    assert evaluate(program, call, family) == (ALLOW if family == 1 else fails(errno.EAFNOSUPPORT))


@pytest.mark.parametrize("bit", [17, 25, 26, 27, 28, 29, 30])
def test_clone_makes_no_namespace(program, bit):
    assert evaluate(program, seccomp.CLONE, 1 << bit | 17) == fails(errno.EPERM)


def test_clone_makes_threads_and_processes(program):
    assert evaluate(program, seccomp.CLONE, 0x3D0F00) == ALLOW  # what pthread_create asks for
    assert evaluate(program, seccomp.CLONE, 17) == ALLOW


def test_ioctl_pushes_nothing_into_a_terminal(program):
    assert evaluate(program, seccomp.IOCTL, 0, 0x5412) == fails(errno.EPERM)
    assert evaluate(program, seccomp.IOCTL, 0, 0x541C) == fails(errno.EPERM)
    assert evaluate(program, seccomp.IOCTL, 0, (1 << 32) + 0x5412) == fails(errno.EPERM)  # the kernel cuts it
    assert evaluate(program, seccomp.IOCTL, 0, 0x5401) == ALLOW


def test_kills_another_numbering(program):
    assert evaluate(program, 0, arch=0x40000003) == KILL  # i386
    assert evaluate(program, 0x40000000) == KILL  # x32


def test_refuses_a_machine_it_has_no_list_for(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    seccomp.program.cache_clear()
    with pytest.raises(SandboxError, match="riscv64"):
        seccomp.program()
