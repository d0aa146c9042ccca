"""The system calls an engine may make: an allow list as a hand-made BPF program (docs/adr/0010-sandbox.md).

The filter is a second wall behind the namespaces: it keeps the kernel's rarely used and often broken parts
(namespaces, mounts, io_uring, bpf, perf, keys, ptrace, System V IPC, network) out of an engine's reach.
Emitting sixty lines of classic BPF needs no library inside the trusted base.
"""

from __future__ import annotations

import errno
import functools
import platform
import struct
from collections.abc import Iterable
from typing import Final

from enclave_runtime.engines.limits import SandboxError

__all__ = ["ALLOWED", "FILTERED", "program"]

# x86-64 numbers, from the kernel's syscall_64.tbl. Left out on purpose, besides the obvious: memfd_create and
# System V shared memory (memory that no process's size shows), splice/vmsplice/tee, userfaultfd, pkeys.
_RANGES: Final[tuple[tuple[int, int], ...]] = (
    (0, 15),  # read .. rt_sigreturn: files, mmap, signals
    (17, 28),  # pread64 .. madvise
    (32, 40),  # dup .. sendfile (timers, getpid)
    (42, 52),  # connect .. getpeername: only on sockets that socket() allowed
    (54, 55),  # setsockopt getsockopt
    (57, 63),  # fork vfork execve exit wait4 kill uname
    (72, 100),  # fcntl .. times: files and folders
    (102, 102),  # getuid
    (104, 104),  # getgid
    (107, 108),  # geteuid getegid; without setpgid and setsid one signal reaches all (launch.Launched.kill)
    (110, 111),  # getppid getpgrp
    (115, 115),  # getgroups
    (118, 118),  # getresuid
    (120, 121),  # getresgid getpgid
    (124, 125),  # getsid capget
    (127, 132),  # rt_sigpending .. utime
    (137, 138),  # statfs fstatfs
    (140, 141),  # getpriority setpriority
    (143, 143),  # sched_getparam
    (145, 152),  # sched_getscheduler .. munlockall
    (157, 158),  # prctl arch_prctl
    (160, 160),  # setrlimit (downwards)
    (186, 187),  # gettid readahead
    (191, 196),  # getxattr .. flistxattr
    (200, 204),  # tkill time futex sched_setaffinity sched_getaffinity
    (213, 213),  # epoll_create
    (217, 219),  # getdents64 set_tid_address restart_syscall
    (221, 226),  # fadvise64 timer_create .. timer_delete
    (228, 235),  # clock_gettime .. utimes
    (239, 239),  # get_mempolicy
    (247, 247),  # waitid
    (253, 255),  # inotify
    (257, 258),  # openat mkdirat
    (260, 271),  # fchownat .. ppoll
    (273, 274),  # robust futex lists
    (277, 277),  # sync_file_range
    (280, 297),  # utimensat .. rt_tgsigqueueinfo
    (299, 299),  # recvmmsg
    (302, 302),  # prlimit64
    (306, 307),  # syncfs sendmmsg
    (309, 309),  # getcpu
    (315, 316),  # sched_getattr renameat2
    (318, 318),  # getrandom
    (322, 322),  # execveat
    (324, 328),  # membarrier mlock2 copy_file_range preadv2 pwritev2
    (332, 332),  # statx
    (334, 334),  # rseq
    (424, 424),  # pidfd_send_signal
    (434, 434),  # pidfd_open
    (436, 437),  # close_range openat2
    (439, 439),  # faccessat2
    (441, 441),  # epoll_pwait2
    (449, 449),  # futex_waitv
    (452, 452),  # fchmodat2
)
ALLOWED: Final = frozenset(number for low, high in _RANGES for number in range(low, high + 1))

IOCTL, SOCKET, SOCKETPAIR, CLONE = 16, 41, 53, 56
FILTERED: Final = frozenset({IOCTL, SOCKET, SOCKETPAIR, CLONE})  # allowed for some arguments only

_AUDIT_ARCH_X86_64 = 0xC000003E
_X32_BIT = 0x40000000
_NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # push characters into a terminal
_AF_UNIX = 1

_LOAD, _EQ, _GE, _GT, _SET, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06  # BPF opcodes, 32-bit words
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data

_ALLOW, _KILL = 0x7FFF0000, 0x80000000


def _fail(code: int) -> int:
    return 0x00050000 | code  # SECCOMP_RET_ERRNO


def _argument(index: int) -> int:
    return 16 + 8 * index  # offset of its low word, little endian


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)  # struct sock_filter


def _ret(action: int) -> bytes:
    return _op(_RETURN, action)


@functools.cache
def program() -> bytes:
    """Return the filter as `struct sock_filter[]`, ready for `bwrap --seccomp`.

    A call that is not allowed fails with ENOSYS, so that C libraries take their older way (clone3 to clone);
    another architecture's numbering kills the process.

    Raises:
        SandboxError: this machine is not x86-64; there is no list for it.
    """
    if platform.machine() != "x86_64":
        raise SandboxError(f"seccomp filter: got machine {platform.machine()}, expected x86_64")
    return b"".join(_instructions())


def _instructions() -> Iterable[bytes]:
    yield _op(_LOAD, _ARCH)
    yield _op(_EQ, _AUDIT_ARCH_X86_64, if_true=1)
    yield _ret(_KILL)
    yield _op(_LOAD, _NUMBER)
    yield _op(_GE, _X32_BIT, if_false=1)
    yield _ret(_KILL)
    # Each block is entered with the number in the accumulator and falls through to the next with it.
    yield from _when_argument(SOCKET, 0, _EQ, (_AF_UNIX,), _ALLOW, _fail(errno.EAFNOSUPPORT))
    yield from _when_argument(SOCKETPAIR, 0, _EQ, (_AF_UNIX,), _ALLOW, _fail(errno.EAFNOSUPPORT))
    yield from _when_argument(CLONE, 0, _SET, (_NAMESPACE_FLAGS,), _fail(errno.EPERM), _ALLOW)
    yield from _when_argument(IOCTL, 1, _EQ, (_TIOCSTI, _TIOCLINUX), _fail(errno.EPERM), _ALLOW)
    for low, high in _RANGES:  # ascending: below `low` here means in no range at all
        yield _op(_GT, high, if_true=3)
        yield _op(_GE, low, if_false=1)
        yield _ret(_ALLOW)
        yield _ret(_fail(errno.ENOSYS))
    yield _ret(_fail(errno.ENOSYS))


def _when_argument(
    call: int, index: int, test: int, values: tuple[int, ...], matched: int, otherwise: int
) -> Iterable[bytes]:
    body = [_op(_LOAD, _argument(index))]
    for value in values:
        body += [_op(test, value, if_false=1), _ret(matched)]
    body.append(_ret(otherwise))
    yield _op(_EQ, call, if_false=len(body))
    yield from body
