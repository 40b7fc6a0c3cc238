"""Lets User Mode Linux run on processors with more register state than it supports.

User Mode Linux sets the vector registers of a guest process with ``ptrace(PTRACE_SETREGSET, NT_X86_XSTATE)`` and a
buffer of a fixed size, 2696 bytes in Linux 6.1. The host refuses (EFAULT) a buffer that is shorter than
its processor's whole state, which is 11008 bytes since AMX (Intel, 2023): the guest's init dies at once. The
missing bytes belong to registers that the guest never uses, and can be zeros.

So if the state is longer, a ``ptrace`` function is loaded in front of the C library's (``LD_PRELOAD``) that
passes a longer buffer for this one request. It is a shared object of two pages, written here, because the
host may not have a compiler.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct

KNOWN = 2696
"""Bytes of register state that User Mode Linux 6.1 sets."""

_PTRACE_TRACEME, _PTRACE_GETREGSET = 0, 0x4204
_NT_X86_XSTATE = 0x202
_ROOM = 1 << 16

_PAGE = 0x1000
_CODE_AT = 0x200
_DATA_AT = _PAGE + _CODE_AT
_DYNAMIC_AT = _PAGE

_CODE = bytes.fromhex(
    # ptrace(edi request, esi pid, rdx address, rcx data):
    "81ff05420000"  # cmp edi, PTRACE_SETREGSET
    "7538"  # jne plain
    "4881fa02020000"  # cmp rdx, NT_X86_XSTATE
    "752f"  # jne plain
    "488b4108"  # mov rax, [rcx + 8]          the length of the caller's buffer
    "483b05f40f0000"  # cmp rax, [rip + length]
    "7322"  # jae plain                   long enough
    "57"  # push rdi
    "56"  # push rsi
    "488b31"  # mov rsi, [rcx]              its address
    "488d3dee0f0000"  # lea rdi, [rip + buffer]
    "48893dd70f0000"  # mov [rip + address], rdi
    "4889c1"  # mov rcx, rax
    "fc"  # cld
    "f3a4"  # rep movsb
    "488d0dca0f0000"  # lea rcx, [rip + address]    our iovec instead of the caller's
    "5e"  # pop rsi
    "5f"  # pop rdi
    # plain:
    "8d47ff"  # lea eax, [rdi - 1]
    "83f802"  # cmp eax, 2                  PTRACE_PEEKTEXT, PEEKDATA, PEEKUSER
    "7619"  # jbe peek
    "4989c8"  # mov r8, rcx
    "4889d1"  # mov rcx, rdx
    "4889f2"  # mov rdx, rsi
    "4889fe"  # mov rsi, rdi
    "bf65000000"  # mov edi, SYS_ptrace
    "31c0"  # xor eax, eax
    "ff259f0f0000"  # jmp [rip + syscall]         syscall() of the C library, which sets errno
    # peek: the system call stores the word, the function returns it
    "4883ec18"  # sub rsp, 24
    "4989e0"  # mov r8, rsp
    "4889d1"  # mov rcx, rdx
    "4889f2"  # mov rdx, rsi
    "4889fe"  # mov rsi, rdi
    "bf65000000"  # mov edi, SYS_ptrace
    "31c0"  # xor eax, eax
    "ff15820f0000"  # call [rip + syscall]
    "4885c0"  # test rax, rax
    "7804"  # js out
    "488b0424"  # mov rax, [rsp]
    # out:
    "4883c418"  # add rsp, 24
    "c3"  # ret
)


def preload(directory: str) -> dict[str, str]:
    """Write the shared object to ``directory``, if needed. Return the variables for the kernel's process."""
    size = state_size()
    if size <= KNOWN:
        return {}
    path = f"{directory}/xstate.so"
    with open(path, "wb") as target:
        target.write(shared_object(size))
    return {"LD_PRELOAD": path}


def state_size() -> int:
    """The size of this processor's register state in bytes, as a tracer sees it; 0 if not known."""
    if os.uname().machine != "x86_64":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if pid == 0:
        libc.ptrace(_PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    try:
        os.waitpid(pid, 0)
        buffer = ctypes.create_string_buffer(_ROOM)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), _ROOM)
        done = libc.ptrace(_PTRACE_GETREGSET, pid, ctypes.c_void_p(_NT_X86_XSTATE), vector)
        return int(vector[1]) if done == 0 else 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def shared_object(size: int) -> bytes:
    """An ELF object for ``LD_PRELOAD`` whose ``ptrace`` sets ``size`` bytes of register state."""
    names = b"\0ptrace\0syscall\0"
    hashes = struct.pack("<5I", 1, 3, 1, 0, 2) + struct.pack("<I", 0)  # one bucket: symbol 1, then 2
    symbols = bytes(24)
    symbols += struct.pack("<IBBHQQ", 1, 0x12, 0, 1, _CODE_AT, len(_CODE))  # a global function, defined here
    symbols += struct.pack("<IBBHQQ", 8, 0x12, 0, 0, 0, 0)  # a global function, somewhere else
    relocations = struct.pack("<QQq", _DATA_AT, 2 << 32 | 6, 0)  # R_X86_64_GLOB_DAT of symbol 2
    tables, at = b"", {}
    start = 64 + 4 * 56
    for name, part in (("hash", hashes), ("symbols", symbols), ("relocations", relocations), ("names", names)):
        at[name] = start + len(tables)
        tables += part.ljust(-(-len(part) // 8) * 8, b"\0")
    tags = [(4, at["hash"]), (5, at["names"]), (6, at["symbols"]), (10, len(names)), (11, 24)]
    tags += [(7, at["relocations"]), (8, len(relocations)), (9, 24), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    data = struct.pack("<QQQ", 0, 0, size)  # the address of syscall(), then our iovec
    end = _DATA_AT + len(data)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, 62, 1, 0, 64, 0, 0, 64, 56, 4, 64, 0, 0)
    text = (1, 5, 0, 0, 0, _CODE_AT + len(_CODE), _CODE_AT + len(_CODE), _PAGE)
    # The buffer, zeros that the file need not have, follows our iovec.
    changed = (1, 6, _PAGE, _PAGE, _PAGE, end - _PAGE, end + size - _PAGE, _PAGE)
    linking = (2, 6, _DYNAMIC_AT, _DYNAMIC_AT, _DYNAMIC_AT, len(dynamic), len(dynamic), 8)
    stack = (0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # it need not be executable
    header += b"".join(struct.pack("<IIQQQQQQ", *part) for part in (text, changed, linking, stack))
    image = (header + tables).ljust(_CODE_AT, b"\0") + _CODE
    image = image.ljust(_DYNAMIC_AT, b"\0") + dynamic
    return image.ljust(_DATA_AT, b"\0") + data
