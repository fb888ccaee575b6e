# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus: small programs that the verifier rejects, each for one reason, with that reason.

Category and problem are those of the native block where a kernel writes one (Linux v7.3, kernel/bpf/diagnostics.c),
and read from kernel/bpf/verifier.c where none does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

REGISTER = "Register Type Safety"
MEMORY = "Memory Safety"
LIFETIME = "Resource Lifetime Safety"
CALL = "Call Type Safety"
CONTEXT = "Execution Context Safety"
STRUCTURE = "Program Structure"
POLICY = "Policy"
LIMIT = "Verifier Limit"
MALFORMED = "Malformed Program"
PRIVILEGE = "Privilege"
INTERNAL = "Verifier Internal"

ARGUMENT = "Invalid call argument"
BOUNDS = "Access outside bounds"
NOT_ALLOWED = "Operation is not allowed"
NOT_HERE = "Operation is not allowed in this context"

ACCEPTED = ("", "")
"""The expectation of a kernel that accepts the program."""

ROOT, PERFMON, BPF_ONLY, NOBODY = "root", "perfmon", "bpf", "nobody"
"""Who loads a program: root; nobody with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; with the first two; with none."""

Expectation = tuple[str, str]

UNACQUIRED = (LIFETIME, "Uninitialized dynptr use")
"""The reason by ``arg 1 is an unacquired reference``, all that kernels up to v6.18 say about several mistakes."""
TOO_DEEP = (LIMIT, "Call stack too deep")


@dataclass(frozen=True)
class Program:
    """One program. ``text`` is for tests.corpus.asm; without it, ``name`` is a function of c/``source``.bpf.c.

    ``kfuncs`` are those that it calls, which a kernel may not have; ``btf`` is (kind, name) of the type that
    attach_btf_id names. ``on`` has the expectations of kernels that judge differently, by the first two numbers of
    their release.
    """

    name: str
    category: str
    problem: str
    text: str = ""
    source: str = ""
    kfuncs: tuple[str, ...] = ()
    prog_type: str = "socket_filter"
    expected_attach_type: int = 0
    btf: tuple[str, str] | None = None
    prog_flags: int = 0
    license: str = "GPL"
    who: str = ROOT
    on: Mapping[str, Expectation] = field(default_factory=dict)

    def expected(self, release: str) -> Expectation:
        """Category and problem on a release such as ``6.12.43``; ACCEPTED where the program is accepted."""
        short = ".".join(release.split("-", maxsplit=1)[0].split(".")[:2])
        return self.on.get(short, (self.category, self.problem))


SLEEPABLE = 1 << 4
"""BPF_F_SLEEPABLE."""
STRICT_ALIGNMENT = 1 << 0
"""BPF_F_STRICT_ALIGNMENT."""
RAW_TP = 23
"""BPF_TRACE_RAW_TP."""

LOOKUP = """
    *(u64 *)(r10 -8) = 0
    r2 = r10
    r2 += -8
    r1 = map hash
    call helper#1
"""
"""r0 = bpf_map_lookup_elem(hash, &0), which may be NULL; the value has 16 bytes."""

RESERVE = """
    r1 = map ringbuf
    r2 = 8
    r3 = 0
    call helper#131
"""
"""r0 = bpf_ringbuf_reserve(ringbuf, 8, 0), which may be NULL."""

PACKET = """
    r2 = *(u32 *)(r1 +0)
    r3 = *(u32 *)(r1 +4)
"""
"""In XDP: r2 = data, r3 = data_end."""

MILLION = (
    "r6 = 0;"
    + "".join(f"call helper#7; if r0 == 0 goto +1; r6 += {1 << bit};" for bit in range(20))
    + "if r6 == -1 goto out; out: r0 = 0; exit"
)
"""A path for each of a million values of r6, all of them different; the log of each path is short."""

EXIT = """
    r0 = 0
    exit
"""

VALUE = LOOKUP + "if r0 == 0 goto out;"
"""r0 = a map's value, not NULL; needs the label out."""

SAMPLE = RESERVE + "if r0 == 0 goto out; r6 = r0;"
"""r0 = r6 = a sample of the ring buffer, not NULL; needs the label out."""

OUT = f"out: {EXIT}"

ASSEMBLED = (
    # Register Type Safety
    Program("unreadable-register", REGISTER, "Unreadable register", "r0 = r2; exit"),
    Program("no-return-value", REGISTER, "Unreadable register", "exit"),
    Program(
        "caller-saved-after-call",
        REGISTER,
        "Unreadable register",
        "r1 = 7; call helper#7; r0 = r1; exit",
    ),
    Program("null-not-checked", REGISTER, "Invalid dereference", LOOKUP + "r0 = *(u64 *)(r0 +0); exit"),
    Program("scalar-dereferenced", REGISTER, "Invalid dereference", "r1 = 42; r0 = *(u64 *)(r1 +0); exit"),
    Program("scalar-written", REGISTER, "Invalid dereference", f"r1 = 42; *(u64 *)(r1 +0) = 1; {EXIT}"),
    Program("modified-context", REGISTER, "Invalid dereference", "r1 += 8; r0 = *(u32 *)(r1 +0); exit"),
    Program(
        "packet-end-dereferenced",
        REGISTER,
        "Invalid dereference",
        f"{PACKET} r0 = *(u8 *)(r3 +0); exit",
        prog_type="xdp",
    ),
    Program(
        "packet-end-arithmetic",
        REGISTER,
        "Pointer arithmetic is not allowed",
        f"{PACKET} r3 += 1; {EXIT}",
        prog_type="xdp",
    ),
    Program(
        "arithmetic-before-null-check", REGISTER, "Pointer arithmetic before NULL check", LOOKUP + f"r0 += 8; {EXIT}"
    ),
    Program("frame-pointer-32-bit", REGISTER, "Frame pointer is read only", f"w10 += 1; {EXIT}"),
    Program("pointer-32-bit-copy", REGISTER, "32-bit pointer arithmetic", f"r1 = r10; w1 += 1; {EXIT}"),
    Program("pointer-from-scalar", REGISTER, "Pointer subtracted from scalar", f"r1 = 8; r1 -= r10; {EXIT}"),
    Program("stack-subtraction", REGISTER, "Subtraction from stack pointer", f"r1 = r10; r2 = 8; r1 -= r2; {EXIT}"),
    Program("pointer-bitwise", REGISTER, "Bitwise operation on pointer", f"r1 = r10; r1 &= -8; {EXIT}"),
    Program("pointer-shifted", REGISTER, "Invalid pointer arithmetic operator", f"r1 = r10; r1 <<= 1; {EXIT}"),
    Program("pointer-multiplied", REGISTER, "Invalid pointer arithmetic operator", f"r1 = r10; r1 *= 2; {EXIT}"),
    Program(
        "offset-unbounded",
        REGISTER,
        "Pointer offset is not safe",
        "r6 = r1; call helper#7; r6 += r0; r0 = *(u32 *)(r6 +0); exit",
    ),
    Program(
        "offset-too-large", REGISTER, "Pointer offset is not safe", f"r1 = r10; r2 = 0x20000000; r1 += r2; {EXIT}"
    ),
    Program(
        "offset-unbounded-map",
        REGISTER,
        "Pointer offset is not safe",
        f"{VALUE} r6 = r0; call helper#5; r6 += r0; r0 = *(u8 *)(r6 +0); {OUT}",
    ),
    # Memory Safety
    Program("value-too-far", MEMORY, BOUNDS, f"{VALUE} r0 = *(u64 *)(r0 +16); {OUT}"),
    Program("value-negative", MEMORY, BOUNDS, f"{VALUE} r0 = *(u64 *)(r0 -8); {OUT}"),
    Program(
        "value-index-unbounded",
        MEMORY,
        BOUNDS,
        f"{VALUE} r6 = r0; call helper#7; w0 = w0; r6 += r0; r0 = *(u8 *)(r6 +0); {OUT}",
    ),
    Program(
        "value-index-signed",
        MEMORY,
        BOUNDS,
        f"{VALUE} r6 = r0; call helper#7; r1 = r0; r1 <<= 32; r1 s>>= 32; if r1 s> 7 goto out; "
        f"if r1 s< -9 goto out; r6 += r1; r0 = *(u8 *)(r6 +0); {OUT}",
    ),
    Program(
        "value-index-off-by-one",
        MEMORY,
        BOUNDS,
        f"{VALUE} r6 = r0; call helper#7; if r0 > 16 goto out; r6 += r0; r0 = *(u8 *)(r6 +0); {OUT}",
    ),
    Program("packet-not-checked", MEMORY, BOUNDS, f"{PACKET} r0 = *(u8 *)(r2 +0); exit", prog_type="xdp"),
    Program(
        "packet-checked-too-short",
        MEMORY,
        BOUNDS,
        f"{PACKET} r4 = r2; r4 += 14; if r4 > r3 goto out; r0 = *(u16 *)(r2 +13); {OUT}",
        prog_type="xdp",
    ),
    Program(
        "ringbuf-sample-overrun",
        MEMORY,
        BOUNDS,
        RESERVE + f"if r0 == 0 goto out; *(u64 *)(r0 +8) = 1; r1 = r0; r2 = 0; call helper#132; {OUT}",
    ),
    Program("stack-uninitialized", MEMORY, "Uninitialized stack read", "r0 = *(u64 *)(r10 -8); exit", who=BPF_ONLY),
    Program(
        "stack-uninitialized-helper",
        MEMORY,
        "Uninitialized stack read",
        f"r1 = map array; r2 = r10; r2 += -8; call helper#1; {EXIT}",
        who=BPF_ONLY,
    ),
    Program(
        "spill-corrupted",
        MEMORY,
        "Stack spill corruption",
        "*(u64 *)(r10 -8) = r1; *(u8 *)(r10 -5) = 0; r0 = *(u64 *)(r10 -8); exit",
        who=NOBODY,
    ),
    Program("stack-out-of-frame", MEMORY, "Stack access out of frame", f"*(u64 *)(r10 -520) = 0; {EXIT}"),
    Program("stack-above-frame", MEMORY, "Stack access out of frame", f"*(u64 *)(r10 +8) = 0; {EXIT}"),
    Program(
        "stack-unbounded",
        REGISTER,
        "Pointer offset is not safe",
        "call helper#7; r1 = r10; r1 += r0; r0 = *(u8 *)(r1 +0); exit",
    ),
    Program(
        "stack-variable-write",
        MEMORY,
        "Variable stack access",
        f"call helper#7; r0 &= 15; r1 = r10; r1 += -8; r1 += r0; *(u8 *)(r1 +0) = 1; {EXIT}",
    ),
    Program(
        "misaligned-stack", MEMORY, "Misaligned access", f"*(u64 *)(r10 -7) = 0; {EXIT}", prog_flags=STRICT_ALIGNMENT
    ),
    Program(
        "misaligned-value",
        MEMORY,
        "Misaligned access",
        f"{VALUE} r0 = *(u64 *)(r0 +1); {OUT}",
        prog_flags=STRICT_ALIGNMENT,
    ),
    Program("frame-pointer-written", REGISTER, "Frame pointer is read only", f"r10 = 0; {EXIT}"),
    Program("context-field-unknown", MEMORY, "Invalid context access", "r0 = *(u32 *)(r1 +4096); exit"),
    Program("context-field-written", MEMORY, "Invalid context access", f"*(u32 *)(r1 +0) = 0; {EXIT}"),
    Program(
        "context-atomic",
        MEMORY,
        "Atomic operation is not allowed here",
        f"r2 = 1; lock *(u32 *)(r1 +8) += r2; {EXIT}",
    ),
    # Resource Lifetime Safety
    Program("leak-ringbuf", LIFETIME, "Unreleased resource", RESERVE + EXIT),
    Program(
        "leak-on-one-branch",
        LIFETIME,
        "Unreleased resource",
        f"{SAMPLE} call helper#7; if r0 > 9 goto out; r1 = r6; r2 = 0; call helper#132; {OUT}",
    ),
    Program("leak-two", LIFETIME, "Unreleased resource", RESERVE + "r6 = r0;" + RESERVE + EXIT),
    Program(
        "used-after-submit",
        REGISTER,
        "Invalid dereference",
        f"{SAMPLE} r1 = r0; r2 = 0; call helper#132; *(u64 *)(r6 +0) = 1; {OUT}",
    ),
    Program(
        "submitted-twice",
        CALL,
        ARGUMENT,
        f"{SAMPLE} r1 = r0; r2 = 0; call helper#132; r1 = r6; r2 = 0; call helper#132; {OUT}",
    ),
    Program(
        "packet-pointer-stale",
        REGISTER,
        "Invalid dereference",
        f"r6 = r1; {PACKET} r7 = r2; r4 = r2; r4 += 1; if r4 > r3 goto out; r1 = r6; r2 = 0; "
        f"call helper#44; r0 = *(u8 *)(r7 +0); {OUT}",
        prog_type="xdp",
    ),
    # Call Type Safety
    Program("helper-wants-map", CALL, ARGUMENT, f"r1 = r10; r2 = r10; r2 += -8; call helper#1; {EXIT}"),
    Program("helper-null-key", CALL, ARGUMENT, f"r1 = map array; r2 = 0; call helper#1; {EXIT}"),
    Program("helper-maybe-null", CALL, ARGUMENT, LOOKUP + f"r1 = map hash; r2 = r0; call helper#1; {EXIT}"),
    Program(
        "helper-scalar-for-context",
        CALL,
        ARGUMENT,
        f"r1 = 1; r2 = 0; r3 = r10; r3 += -8; r4 = 8; call helper#26; {EXIT}",
    ),
    Program(
        "helper-size-zero",
        CALL,
        "Invalid size argument",
        f"r2 = 0; r3 = r10; r3 += -8; r4 = 0; call helper#26; {EXIT}",
    ),
    Program(
        "helper-size-negative",
        CALL,
        "Invalid size argument",
        "r6 = r1; call helper#7; r1 = r6; r4 = r0; r4 <<= 32; r4 s>>= 32; r2 = 0; r3 = r10; "
        f"r3 += -8; if r4 s> 8 goto out; call helper#26; {OUT}",
    ),
    Program(
        "helper-size-unbounded",
        CALL,
        "Invalid size argument",
        f"r6 = r1; call helper#5; r1 = r6; r4 = r0; r2 = 0; r3 = r10; r3 += -8; call helper#26; {EXIT}",
    ),
    Program(
        "helper-map-kind",
        CALL,
        "Helper does not take this map",
        f"*(u64 *)(r10 -8) = 0; r1 = map hash; r2 = r10; r2 += -8; r3 = 8; r4 = 0; call helper#130; {EXIT}",
    ),
    Program(
        "submit-not-reserved",
        CALL,
        ARGUMENT,
        f"{VALUE} r1 = r0; r2 = 0; call helper#132; {OUT}",
    ),
    Program(
        "map-pointer-arithmetic", REGISTER, "Pointer arithmetic is not allowed", f"r1 = map array; r1 += 8; {EXIT}"
    ),
    # Program Structure
    Program("unreachable", STRUCTURE, "Unreachable instruction", "r0 = 0; exit; r0 = 1; exit"),
    Program("jump-out", STRUCTURE, "Jump out of range", f"goto +100; {EXIT}"),
    Program("jump-before", STRUCTURE, "Jump out of range", "r0 = 0; if r1 == 0 goto -3; exit"),
    Program("jump-into-ldimm64", STRUCTURE, "Jump into ldimm64 immediate", "if r1 == 0 goto +1; r0 = 1 ll; exit"),
    Program("falls-through", STRUCTURE, "Subprogram can fall through", "r0 = 0; r0 += 1"),
    Program(
        "recursion",
        STRUCTURE,
        "Recursive subprogram call",
        "call f; exit; f: call f; r0 = 0; exit",
        on={"6.1": (STRUCTURE, "Back-edge is not allowed"), "6.12": TOO_DEEP, "6.18": TOO_DEEP},
    ),
    Program("subprogram-falls-through", STRUCTURE, "Subprogram can fall through", "call f; r0 = 0; f: r0 = 1; exit"),
    Program(
        "back-edge-unprivileged",
        STRUCTURE,
        "Back-edge is not allowed",
        "r0 = 0; again: r0 += 1; if r0 < 10 goto again; exit",
        who=NOBODY,
    ),
    # Policy
    Program("helper-of-other-type", POLICY, NOT_ALLOWED, "r1 = 1; r2 = 0; call helper#23; exit"),
    Program(
        "helper-gpl-only",
        POLICY,
        NOT_ALLOWED,
        f"r1 = r10; r1 += -8; r2 = 8; r3 = 0; call helper#113; {EXIT}",
        prog_type="kprobe",
        license="Proprietary",
    ),
    Program("calls-unprivileged", POLICY, NOT_ALLOWED, "call f; exit; f: r0 = 0; exit", who=NOBODY),
    Program("unknown-helper", POLICY, "Unknown helper", f"call helper#100000; {EXIT}"),
    Program("helper-0", POLICY, NOT_ALLOWED, f"call helper#0; {EXIT}"),
    # Return values
    Program("return-value-range", POLICY, "Return value out of range", "r0 = 2; exit", prog_type="cgroup_skb"),
    Program(
        "return-value-unknown", POLICY, "Return value out of range", "call helper#7; exit", prog_type="cgroup_sock"
    ),
    Program("return-pointer", PRIVILEGE, "Pointer leak", "r0 = r10; exit", who=BPF_ONLY),
    # Limits
    Program("infinite-loop", LIMIT, "Infinite loop", "r0 = 0; again: goto again"),
    Program(
        "infinite-loop-state",
        LIMIT,
        "Infinite loop",
        "r6 = 0; again: call helper#7; if r0 != 0 goto again; r0 = 0; exit",
    ),
    Program("a-million-instructions", LIMIT, "Too many instructions", MILLION),
    Program(
        "calls-too-deep",
        LIMIT,
        "Call stack too deep",
        "call f1; exit;" + "".join(f"f{i}: call f{i + 1}; exit;" for i in range(1, 18)) + "f18: r0 = 0; exit",
    ),
    Program(
        "stack-too-large",
        LIMIT,
        "Stack depth",
        f"*(u64 *)(r10 -304) = 0; call f; exit; f: *(u64 *)(r10 -304) = 0; {EXIT}",
    ),
    # Malformed
    Program("opcode-unknown", MALFORMED, "Invalid instruction", f"raw ff 00 00 00 00 00 00 00; {EXIT}"),
    Program("alu-opcode-unknown", MALFORMED, "Invalid instruction", f"raw e7 00 00 00 00 00 00 00; {EXIT}"),
    Program("alu-reserved-fields", MALFORMED, "Invalid instruction", f"raw b7 00 07 00 00 00 00 00; {EXIT}"),
    Program("register-11", MALFORMED, "Invalid instruction", f"raw b7 0b 00 00 00 00 00 00; {EXIT}"),
    Program("division-by-zero", MALFORMED, "Invalid instruction", "r0 = 1; r0 /= 0; exit"),
    Program("shift-too-wide", MALFORMED, "Invalid instruction", "r0 = 1; r0 <<= 64; exit"),
    Program(
        "ldimm64-cut",
        MALFORMED,
        "Invalid instruction",
        "goto +1; exit; exit; raw 18 00 00 00 00 00 00 00",
        on=dict.fromkeys(("6.1", "6.12", "6.18", "7.2"), (STRUCTURE, "Subprogram can fall through")),
    ),
    Program(
        "ldimm64-second-half",
        MALFORMED,
        "Invalid instruction",
        f"raw 18 00 00 00 00 00 00 00; raw 01 00 00 00 00 00 00 00; {EXIT}",
    ),
    Program(
        "bad-map-fd",
        MALFORMED,
        "Bad map file descriptor",
        f"raw 18 11 00 00 ff 7f 00 00; raw 00 00 00 00 00 00 00 00; {EXIT}",
    ),
    Program("exit-reserved-fields", MALFORMED, "Invalid instruction", "r0 = 0; raw 95 01 00 00 00 00 00 00"),
    Program("empty", MALFORMED, "Bad attributes", "\n"),
    Program(
        "attach-btf-id-missing",
        MALFORMED,
        "Missing attach_btf_id",
        EXIT,
        prog_type="tracing",
        expected_attach_type=RAW_TP,
    ),
    Program(
        "attach-type-bad", MALFORMED, "Bad attributes", EXIT, prog_type="cgroup_sock_addr", expected_attach_type=99
    ),
    Program("prog-flags-bad", MALFORMED, "Bad attributes", EXIT, prog_flags=1 << 30),
    Program("prog-type-bad", MALFORMED, "Bad attributes", EXIT, prog_type="4096"),
    # Privilege
    Program("unprivileged-type", PRIVILEGE, "Not permitted", EXIT, prog_type="kprobe", who=NOBODY),
    Program("unprivileged-too-long", PRIVILEGE, "Program too large", "r0 = 0;" * 4097 + "exit", who=NOBODY),
    Program(
        "pointer-leak-to-map",
        PRIVILEGE,
        "Pointer leak",
        f"{VALUE} *(u64 *)(r0 +0) = r10; {OUT}",
        who=NOBODY,
    ),
    Program("pointer-compared", PRIVILEGE, "Pointer leak", f"if r10 > 7 goto out; {OUT}", who=NOBODY),
    Program(
        "unprivileged-pointer-arithmetic",
        PRIVILEGE,
        "Pointer arithmetic",
        f"r6 = r1; call helper#7; r0 &= 7; r1 = r10; r1 += -16; r1 += r0; r1 = 0; {EXIT}",
        who=NOBODY,
    ),
    Program("partial-pointer-copy", PRIVILEGE, "Pointer leak", "r0 = r10; w0 = w0; exit", who=NOBODY),
)


ITERATOR = "r1 = r10; r1 += -8;"
"""r1 = the address of an iterator of 8 bytes."""

RESERVE_DYNPTR = "r1 = map ringbuf; r2 = 8; r3 = 0; r4 = r10; r4 += -16; call helper#198;"
"""bpf_ringbuf_reserve_dynptr(ringbuf, 8, 0, fp-16)."""

SCHED_SWITCH = ("typedef", "btf_trace_sched_switch")
TASK = "r6 = *(u64 *)(r1 +8);"
"""In btf_trace_sched_switch: r6 = prev."""


def tc_program(name: str, category: str, problem: str, text: str, **more: Any) -> Program:
    """A program that does not sleep and may call kfuncs."""
    return Program(name, category, problem, text, prog_type="sched_cls", **more)


def sleepable_program(name: str, category: str, problem: str, text: str, **more: Any) -> Program:
    """A program that may sleep and call kfuncs."""
    return Program(name, category, problem, text, prog_type="syscall", prog_flags=SLEEPABLE, **more)


def tracepoint_program(name: str, category: str, problem: str, text: str, **more: Any) -> Program:
    """A program on a raw tracepoint with pointers to tasks."""
    return Program(
        name, category, problem, text, prog_type="tracing", expected_attach_type=RAW_TP, btf=SCHED_SWITCH, **more
    )


KFUNC_PROGRAMS = (
    # Resource Lifetime Safety
    tc_program(
        "dynptr-overwritten",
        LIFETIME,
        "Referenced dynptr overwrite",
        f"{RESERVE_DYNPTR} *(u64 *)(r10 -16) = 0; {EXIT}",
        on={"6.1": (LIFETIME, "Unreleased resource")},
    ),
    tc_program(
        "dynptr-reserved-twice",
        LIFETIME,
        "Referenced dynptr overwrite",
        f"{RESERVE_DYNPTR} {RESERVE_DYNPTR} {EXIT}",
        on={"6.1": (LIFETIME, "Dynptr is already initialized")},
    ),
    tc_program(
        "dynptr-uninitialized",
        LIFETIME,
        "Uninitialized dynptr use",
        f"r1 = r10; r1 += -16; r2 = 0; call helper#199; {EXIT}",
    ),
    tc_program("dynptr-leak", LIFETIME, "Unreleased resource", f"{RESERVE_DYNPTR} {EXIT}"),
    tc_program(
        "dynptr-submitted-twice",
        LIFETIME,
        "Uninitialized dynptr use",
        f"{RESERVE_DYNPTR} r1 = r10; r1 += -16; r2 = 0; call helper#199; r1 = r10; r1 += -16; r2 = 0; "
        f"call helper#199; {EXIT}",
    ),
    tc_program(
        "iterator-initialized-twice",
        LIFETIME,
        "Iterator is already initialized",
        f"{ITERATOR} r2 = 0; r3 = 3; call kfunc bpf_iter_num_new; {ITERATOR} r2 = 0; r3 = 3; "
        f"call kfunc bpf_iter_num_new; {EXIT}",
    ),
    tc_program(
        "iterator-uninitialized",
        LIFETIME,
        "Uninitialized iterator use",
        f"{ITERATOR} call kfunc bpf_iter_num_next; {EXIT}",
    ),
    tc_program(
        "iterator-leak",
        LIFETIME,
        "Unreleased resource",
        f"{ITERATOR} r2 = 0; r3 = 3; call kfunc bpf_iter_num_new; {EXIT}",
    ),
    tc_program(
        "irq-restored-out-of-order",
        LIFETIME,
        "IRQ flag restore out of order",
        "r1 = r10; r1 += -8; call kfunc bpf_local_irq_save; r1 = r10; r1 += -16; "
        f"call kfunc bpf_local_irq_save; r1 = r10; r1 += -8; call kfunc bpf_local_irq_restore; {EXIT}",
    ),
    tc_program(
        "irq-saved-twice",
        LIFETIME,
        "IRQ flag is already initialized",
        "r1 = r10; r1 += -8; call kfunc bpf_local_irq_save; r1 = r10; r1 += -8; "
        f"call kfunc bpf_local_irq_save; {EXIT}",
    ),
    tc_program(
        "irq-restore-uninitialized",
        LIFETIME,
        "Uninitialized IRQ flag restore",
        f"r1 = r10; r1 += -8; call kfunc bpf_local_irq_restore; {EXIT}",
    ),
    tc_program("leak-task", LIFETIME, "Unreleased resource", f"r1 = 1; call kfunc bpf_task_from_pid; {EXIT}"),
    tc_program(
        "leak-socket",
        LIFETIME,
        "Unreleased resource",
        "*(u64 *)(r10 -16) = 0; *(u64 *)(r10 -8) = 0; r2 = r10; r2 += -16; r3 = 12; r4 = 0; r5 = 0; "
        f"call helper#84; {EXIT}",
    ),
    # Execution Context Safety
    tc_program("rcu-unlock-unmatched", CONTEXT, "Unmatched context exit", f"call kfunc bpf_rcu_read_unlock; {EXIT}"),
    tc_program("rcu-left-locked", CONTEXT, NOT_HERE, f"call kfunc bpf_rcu_read_lock; {EXIT}"),
    sleepable_program(
        "rcu-sleepable-helper",
        CONTEXT,
        NOT_HERE,
        "call kfunc bpf_rcu_read_lock; r1 = r10; r1 += -8; r2 = 8; r3 = 0; call helper#148; "
        f"call kfunc bpf_rcu_read_unlock; {EXIT}",
    ),
    sleepable_program(
        "rcu-sleepable-kfunc",
        CONTEXT,
        NOT_HERE,
        "call kfunc bpf_rcu_read_lock; r1 = r10; r1 += -8; r2 = 8; r3 = 0; r4 = 0; "
        f"call kfunc bpf_copy_from_user_str; call kfunc bpf_rcu_read_unlock; {EXIT}",
    ),
    tc_program(
        "sleepable-kfunc-in-non-sleepable",
        CONTEXT,
        NOT_HERE,
        f"r1 = r10; r1 += -8; r2 = 8; r3 = 0; r4 = 0; call kfunc bpf_copy_from_user_str; {EXIT}",
    ),
    tracepoint_program(
        "sleepable-helper-in-non-sleepable",
        CONTEXT,
        NOT_HERE,
        f"r1 = r10; r1 += -8; r2 = 8; r3 = 0; call helper#148; {EXIT}",
    ),
    tc_program(
        "preempt-enable-unmatched", CONTEXT, "Unmatched context exit", f"call kfunc bpf_preempt_enable; {EXIT}"
    ),
    tc_program("preempt-left-disabled", CONTEXT, NOT_HERE, f"call kfunc bpf_preempt_disable; {EXIT}"),
    sleepable_program(
        "preempt-sleepable-helper",
        CONTEXT,
        NOT_HERE,
        "call kfunc bpf_preempt_disable; r1 = r10; r1 += -8; r2 = 8; r3 = 0; call helper#148; "
        f"call kfunc bpf_preempt_enable; {EXIT}",
    ),
    tc_program("irq-left-disabled", CONTEXT, NOT_HERE, f"r1 = r10; r1 += -8; call kfunc bpf_local_irq_save; {EXIT}"),
    sleepable_program(
        "irq-sleepable-helper",
        CONTEXT,
        NOT_HERE,
        "r1 = r10; r1 += -8; call kfunc bpf_local_irq_save; r1 = r10; r1 += -16; r2 = 8; r3 = 0; "
        f"call helper#148; r1 = r10; r1 += -8; call kfunc bpf_local_irq_restore; {EXIT}",
    ),
    sleepable_program(
        "iterator-without-rcu",
        CONTEXT,
        "Required context is not active",
        f"r1 = r10; r1 += -24; r2 = 0; r3 = 2; call kfunc bpf_iter_task_new; {EXIT}",
        on={"6.12": (LIFETIME, "Unreleased resource")},
    ),
    sleepable_program(
        "iterator-after-rcu",
        CONTEXT,
        "Required context is not active",
        "call kfunc bpf_rcu_read_lock; r1 = r10; r1 += -24; r2 = 0; r3 = 2; "
        "call kfunc bpf_iter_task_new; call kfunc bpf_rcu_read_unlock; r1 = r10; r1 += -24; "
        f"call kfunc bpf_iter_task_next; {EXIT}",
    ),
    # Call Type Safety
    tc_program(
        "dynptr-of-other-type",
        CALL,
        ARGUMENT,
        f"{VALUE} r1 = r0; r2 = 8; r3 = 0; r4 = r10; r4 += -32; call helper#197; r1 = r10; r1 += -32; "
        f"r2 = 0; call helper#199; {OUT}",
        on=dict.fromkeys(("6.1", "6.12", "6.18"), UNACQUIRED),
    ),
    Program(
        "packet-to-helper",
        CALL,
        "Packet pointer is not allowed here",
        f"{PACKET} r4 = r2; r4 += 4; if r4 > r3 goto out; r1 = r2; r2 = 4; call helper#6; {OUT}",
        prog_type="xdp",
    ),
    tc_program(
        "work-on-stack",
        CALL,
        ARGUMENT,
        f"*(u64 *)(r10 -8) = 0; *(u64 *)(r10 -16) = 0; r1 = r10; r1 += -16; r2 = map hash; r3 = 0; "
        f"call kfunc bpf_wq_init; {EXIT}",
    ),
    tc_program("dynptr-not-on-stack", CALL, ARGUMENT, f"{VALUE} r1 = r0; r2 = 0; call helper#199; {OUT}"),
    tc_program(
        "iterator-not-on-stack",
        CALL,
        ARGUMENT,
        f"{VALUE} r1 = r0; r2 = 0; r3 = 3; call kfunc bpf_iter_num_new; {OUT}",
    ),
    tc_program("irq-flag-not-on-stack", CALL, ARGUMENT, f"{VALUE} r1 = r0; call kfunc bpf_local_irq_save; {OUT}"),
    tracepoint_program(
        "helper-maybe-null-object",
        CALL,
        ARGUMENT,
        f"r1 = 1; call kfunc bpf_task_from_pid; r1 = r0; call helper#175; {EXIT}",
    ),
    tc_program(
        "release-unreferenced-socket",
        CALL,
        ARGUMENT,
        f"r1 = *(u64 *)(r1 +168); if r1 == 0 goto out; call helper#86; {OUT}",
    ),
    tc_program(
        "kfunc-maybe-null",
        CALL,
        ARGUMENT,
        f"r1 = 1; call kfunc bpf_task_from_pid; r1 = r0; call kfunc bpf_task_release; {EXIT}",
    ),
    tc_program("kfunc-null", CALL, ARGUMENT, f"r1 = 0; call kfunc bpf_task_acquire; {EXIT}"),
    tracepoint_program(
        "kfunc-release-unreferenced", CALL, ARGUMENT, f"{TASK} r1 = r6; call kfunc bpf_task_release; {EXIT}"
    ),
    tc_program("kfunc-pointer-for-scalar", CALL, ARGUMENT, f"r1 = r10; call kfunc bpf_task_from_pid; {EXIT}"),
    tc_program(
        "kfunc-constant-wanted", CALL, ARGUMENT, f"call helper#7; r2 = r0; r1 = 0; call kfunc bpf_rdonly_cast; {EXIT}"
    ),
    tc_program("kfunc-context-wanted", CALL, ARGUMENT, f"r1 = r10; call kfunc bpf_cast_to_kern_ctx; {EXIT}"),
    tc_program(
        "kfunc-allocated-object-wanted",
        CALL,
        ARGUMENT,
        f"r1 = r10; r1 += -8; r2 = 0; call kfunc bpf_obj_drop_impl; {EXIT}",
    ),
    tc_program(
        "kfunc-drop-of-task",
        CALL,
        ARGUMENT,
        "r1 = 1; call kfunc bpf_task_from_pid; if r0 == 0 goto out; r1 = r0; r2 = 0; "
        f"call kfunc bpf_obj_drop_impl; {OUT}",
    ),
    tc_program("kfunc-dynptr-not-on-stack", CALL, ARGUMENT, f"{VALUE} r1 = r0; call kfunc bpf_dynptr_size; {OUT}"),
    Program(
        "kfunc-string-not-constant",
        CALL,
        ARGUMENT,
        "*(u64 *)(r10 -8) = 0; r1 = *(u64 *)(r1 +0); r2 = r10; r2 += -8; r3 = r10; r3 += -32;"
        f"call kfunc bpf_get_file_xattr; {EXIT}",
        prog_type="lsm",
        expected_attach_type=27,
        btf=("func", "bpf_lsm_file_open"),
        prog_flags=SLEEPABLE,
        on={"6.18": (PRIVILEGE, "Not permitted")},
    ),
    tc_program(
        "kfunc-rcu-pointer-wanted",
        CALL,
        ARGUMENT,
        f"r1 = 0; r2 = typeid task_struct; call kfunc bpf_rdonly_cast; r1 = r0; call kfunc bpf_task_acquire; {EXIT}",
    ),
    tc_program(
        "kfunc-trusted-pointer-wanted",
        CALL,
        ARGUMENT,
        "r1 = 0; r2 = typeid cgroup_subsys_state; call kfunc bpf_rdonly_cast; r1 = r10; r1 += -24; "
        f"r2 = r0; r3 = 2; call kfunc bpf_iter_css_new; {EXIT}",
    ),
    tc_program("kfunc-other-object", CALL, ARGUMENT, f"r1 = r10; r1 += -8; call kfunc bpf_task_acquire; {EXIT}"),
    tc_program(
        "kfunc-struct-of-other-type",
        CALL,
        ARGUMENT,
        f"r1 = 1; call kfunc bpf_task_from_pid; if r0 == 0 goto out; r1 = r0; call kfunc bpf_cgroup_release; {OUT}",
    ),
    tc_program(
        "kfunc-slice-size-variable",
        CALL,
        ARGUMENT,
        "r6 = r1; call helper#7; r7 = r0; r1 = r6; r2 = 0; r3 = r10; r3 += -16; "
        "call kfunc bpf_dynptr_from_skb; r1 = r10; r1 += -16; r2 = 0; r3 = 0; r4 = r7; "
        f"call kfunc bpf_dynptr_slice; {EXIT}",
    ),
    tc_program(
        "kfunc-slice-too-large",
        CALL,
        ARGUMENT,
        "r2 = 0; r3 = r10; r3 += -16; call kfunc bpf_dynptr_from_skb; r1 = r10; r1 += -16; r2 = 0; "
        f"r3 = r10; r3 += -32; r4 = 64; call kfunc bpf_dynptr_slice; {EXIT}",
    ),
    tc_program(
        "kfunc-slice-size-pointer",
        CALL,
        ARGUMENT,
        "r2 = 0; r3 = r10; r3 += -16; call kfunc bpf_dynptr_from_skb; r1 = r10; r1 += -16; r2 = 0; "
        f"r3 = r10; r3 += -32; r4 = r10; call kfunc bpf_dynptr_slice; {EXIT}",
        on={"7.3": (INTERNAL, "Bug in the verifier")},
    ),
    sleepable_program(
        "kfunc-memory-size-negative",
        CALL,
        ARGUMENT,
        f"r1 = r10; r1 += -8; r2 = -1; r3 = r10; r3 += -16; call kfunc bpf_crypto_ctx_create; {EXIT}",
    ),
    sleepable_program(
        "kfunc-memory-wanted",
        CALL,
        ARGUMENT,
        f"r1 = r10; r1 += -408; r2 = 408; r3 = 5; call kfunc bpf_crypto_ctx_create; {EXIT}",
    ),
    # Policy
    Program("kfunc-of-other-type", POLICY, NOT_ALLOWED, f"r1 = 1; call kfunc bpf_task_from_pid; {EXIT}"),
    tracepoint_program(
        "kfunc-destructive", POLICY, NOT_ALLOWED, f"r1 = 0; call kfunc crash_kexec; {EXIT}", who=PERFMON
    ),
    tracepoint_program(
        "helper-not-at-this-hook",
        POLICY,
        NOT_ALLOWED,
        f"{TASK} r1 = r6; r2 = r10; r2 += -8; r3 = 8; call helper#147; {EXIT}",
    ),
    tc_program(
        "kfunc-needs-gpl",
        POLICY,
        "Not GPL compatible",
        f"r1 = 1; call kfunc bpf_task_from_pid; {EXIT}",
        license="Proprietary",
    ),
    tc_program(
        "kfunc-perfmon",
        POLICY,
        NOT_ALLOWED,
        f"r1 = 0; r2 = typeid task_struct; call kfunc bpf_rdonly_cast; r0 = *(u32 *)(r0 +0); {EXIT}",
        who=BPF_ONLY,
    ),
    Program("sleepable-type", POLICY, "Program cannot be sleepable", EXIT, prog_flags=SLEEPABLE),
    Program(
        "write-to-read-only-map",
        POLICY,
        "Map access is forbidden",
        "*(u32 *)(r10 -4) = 0; r2 = r10; r2 += -4; r1 = map readonly; call helper#1; "
        f"if r0 == 0 goto out; *(u64 *)(r0 +0) = 1; {OUT}",
    ),
    Program(
        "read-from-write-only-map",
        POLICY,
        "Map access is forbidden",
        "*(u32 *)(r10 -4) = 0; r2 = r10; r2 += -4; r1 = map writeonly; call helper#1; "
        f"if r0 == 0 goto out; r0 = *(u64 *)(r0 +0); {OUT}",
    ),
    Program(
        "legacy-load-of-other-type",
        POLICY,
        "Legacy packet access is not allowed",
        "r6 = r1; r0 = *(u8 *)skb[0]; exit",
        prog_type="tracepoint",
    ),
    Program(
        "legacy-load-without-context",
        REGISTER,
        "Legacy packet access without context",
        "r6 = 1; r0 = *(u8 *)skb[0]; exit",
    ),
    # Register Type Safety and Memory Safety
    Program(
        "offset-adds-up", REGISTER, "Pointer offset is not safe", f"{VALUE} r0 += 0x1fffffff; r0 += 0x1fffffff; {OUT}"
    ),
    Program(
        "stack-variable-atomic",
        MEMORY,
        "Variable stack access",
        "*(u64 *)(r10 -8) = 0; *(u64 *)(r10 -16) = 0; call helper#7; r0 &= 8; r1 = r10; r1 += -16; "
        f"r1 += r0; r2 = 1; lock *(u64 *)(r1 +0) += r2; {EXIT}",
    ),
    Program(
        "stack-uninitialized-hole",
        MEMORY,
        "Uninitialized stack read",
        "*(u64 *)(r10 -16) = 0; r0 = *(u64 *)(r10 -8); exit",
        who=BPF_ONLY,
    ),
    Program(
        "stack-half-initialized",
        MEMORY,
        "Uninitialized stack read",
        "call helper#7; *(u32 *)(r10 -8) = r0; r0 = *(u64 *)(r10 -8); exit",
        who=BPF_ONLY,
    ),
    Program("context-field-halved", MEMORY, "Invalid context access", "r0 = *(u32 *)(r1 +2); exit"),
    Program(
        "packet-not-writable",
        MEMORY,
        "Write is not allowed",
        "r2 = *(u32 *)(r1 +76); r3 = *(u32 *)(r1 +80); r4 = r2; r4 += 8; if r4 > r3 goto out; "
        f"*(u8 *)(r2 +0) = 1; {OUT}",
        prog_type="lwt_in",
    ),
    Program(
        "atomic-on-packet",
        MEMORY,
        "Atomic operation is not allowed here",
        f"{PACKET} r4 = r2; r4 += 8; if r4 > r3 goto out; r5 = 1; lock *(u64 *)(r2 +0) += r5; {OUT}",
        prog_type="xdp",
    ),
    Program(
        "two-kinds-of-pointer",
        REGISTER,
        "One instruction for two kinds of pointer",
        "r6 = r1; *(u64 *)(r10 -8) = 0; call helper#7; if r0 == 0 goto use; r6 = r10; r6 += -8; "
        "use: r0 = *(u32 *)(r6 +0); exit",
    ),
    tracepoint_program("task-written", REGISTER, "Write is not allowed", f"{TASK} *(u64 *)(r6 +0) = 0; {EXIT}"),
    tracepoint_program(
        "task-beyond-end", MEMORY, "Access beyond the struct", f"{TASK} r0 = *(u64 *)(r6 +32000); {EXIT}"
    ),
    tracepoint_program(
        "tracepoint-argument-unknown", MEMORY, "Invalid context access", f"r0 = *(u64 *)(r1 +96); {EXIT}"
    ),
    # Limits
    Program(
        "jumps-too-complex",
        LIMIT,
        "Too many pending branches",
        "call helper#7;" + "".join(f"if r0 == {i} goto +0;" for i in range(8200)) + EXIT,
    ),
    Program(
        "tail-call-in-subprogram",
        MALFORMED,
        "Missing BTF",
        f"*(u64 *)(r10 -304) = 0; call f; {EXIT} f: r2 = map progs; r3 = 0; call helper#12; {EXIT}",
    ),
    # Malformed
    Program(
        "atomic-opcode-unknown", MALFORMED, "Invalid instruction", f"r1 = 1; raw db 1a f8 ff ff 00 00 00; {EXIT}"
    ),
    Program("call-reserved-fields", MALFORMED, "Invalid instruction", f"raw 85 01 00 00 07 00 00 00; {EXIT}"),
    Program("jump-reserved-fields", MALFORMED, "Invalid instruction", f"raw 05 01 00 00 00 00 00 00; {EXIT}"),
    Program("byte-swap-reserved-fields", MALFORMED, "Invalid instruction", f"raw d4 10 00 00 10 00 00 00; {EXIT}"),
    Program("store-reserved-fields", MALFORMED, "Invalid instruction", f"raw 7a 1a f8 ff 00 00 00 00; {EXIT}"),
    Program("load-mode-unknown", MALFORMED, "Invalid instruction", f"raw b9 10 00 00 00 00 00 00; {EXIT}"),
    Program(
        "callback-without-btf",
        MALFORMED,
        "Missing BTF",
        f"r1 = 1; r2 = func cb; r3 = 0; r4 = 0; call helper#181; {EXIT} cb: {EXIT}",
    ),
    tc_program("kfunc-id-0", MALFORMED, "Unresolved kernel function", f"raw 85 20 00 00 00 00 00 00; {EXIT}"),
    tc_program(
        "kfunc-not-a-function", MALFORMED, "Unresolved kernel function", f"raw 85 20 00 00 01 00 00 00; {EXIT}"
    ),
    Program("helper-poisoned-by-libbpf", MALFORMED, "Unresolved CO-RE relocation", f"call helper#195896080; {EXIT}"),
    Program(
        "attach-btf-id-not-a-typedef",
        MALFORMED,
        "Bad attach_btf_id",
        EXIT,
        prog_type="tracing",
        expected_attach_type=RAW_TP,
        btf=("func", "bpf_prog_load"),
    ),
    Program(
        "attach-btf-id-not-a-function",
        MALFORMED,
        "Bad attach_btf_id",
        EXIT,
        prog_type="tracing",
        expected_attach_type=24,
        btf=("typeid", "task_struct"),
        on={"6.18": (PRIVILEGE, "Not permitted")},
    ),
    Program(
        "struct-ops-without-target",
        MALFORMED,
        "Bad attributes",
        EXIT,
        prog_type="struct_ops",
        on={"6.1": (MALFORMED, "Bad attach_btf_id")},
    ),
    Program(
        "extension-without-target",
        MALFORMED,
        "Missing attach_btf_id",
        EXIT,
        prog_type="ext",
        on={"6.18": (PRIVILEGE, "Not permitted")},
    ),
    Program(
        "lsm-hook-unknown",
        MALFORMED,
        "Bad attach_btf_id",
        EXIT,
        prog_type="lsm",
        expected_attach_type=27,
        btf=("func", "bpf_prog_load"),
        on={"6.18": (PRIVILEGE, "Not permitted")},
    ),
    Program(
        "indirect-jump-without-table",
        STRUCTURE,
        "Missing jump table",
        f"r1 = 0; raw 0d 01 00 00 00 00 00 00; {EXIT}",
        on=dict.fromkeys(("6.1", "6.12", "6.18"), (MALFORMED, "Invalid instruction")),
    ),
    Program(
        "jump-into-subprogram",
        STRUCTURE,
        "Jump out of range",
        "call f; if r0 == 0 goto inside; exit; f: r0 = 1; inside: r0 = 2; exit",
    ),
    # Privilege
    Program("unprivileged-call-of-kfunc", POLICY, NOT_ALLOWED, f"call kfunc bpf_rcu_read_lock; {EXIT}", who=NOBODY),
    Program("pointer-leak-to-context", PRIVILEGE, "Pointer leak", f"*(u64 *)(r1 +48) = r10; {EXIT}", who=NOBODY),
    Program("pointer-added-to-pointer", REGISTER, "Arithmetic between pointers", f"r1 += r10; {EXIT}", who=NOBODY),
    Program(
        "pointer-through-atomic",
        PRIVILEGE,
        "Pointer leak",
        f"*(u64 *)(r10 -8) = 0; lock *(u64 *)(r10 -8) += r1; {EXIT}",
        who=NOBODY,
    ),
)

LOST_PROOFS = (
    # Proofs that do not count
    Program(
        "size-bounded-from-above",
        CALL,
        "Invalid size argument",
        """
        r6 = r1
        r4 = *(u32 *)(r6 +48)
        r4 <<= 32
        r4 s>>= 32
        if r4 s> 8 goto out
        r1 = r6
        r2 = 0
        r3 = r10
        r3 += -8
        call helper#26
        """
        + OUT,
    ),
    Program(
        "size-written-after-check",
        CALL,
        "Invalid size argument",
        """
        r6 = r1
        *(u64 *)(r10 -8) = 0
        *(u64 *)(r10 -24) = 0
        r1 = r6
        r2 = 0
        r3 = r10
        r3 += -8
        r4 = 8
        call helper#26
        r7 = *(u64 *)(r10 -8)
        if r7 > 8 goto out
        r1 = r6
        r2 = 8
        r3 = r10
        r3 += -8
        r4 = 8
        call helper#26
        r4 = *(u64 *)(r10 -8)
        r1 = r6
        r2 = 0
        r3 = r10
        r3 += -24
        call helper#26
        """
        + OUT,
    ),
    Program(
        "packet-offset-too-large",
        MEMORY,
        BOUNDS,
        f"""
        {PACKET}
        r4 = r2
        r4 += 2
        if r4 > r3 goto out
        r5 = *(u16 *)(r2 +0)
        r5 <<= 1
        r2 += r5
        r4 = r2
        r4 += 1
        if r4 > r3 goto out
        r0 = *(u8 *)(r2 +0)
        exit
        {OUT}
        """,
        prog_type="xdp",
    ),
    Program(
        "packet-other-pointer-checked",
        MEMORY,
        BOUNDS,
        f"""
        {PACKET}
        r4 = r2
        r4 += 34
        if r4 > r3 goto out
        r5 = *(u8 *)(r2 +14)
        r5 &= 60
        r2 += r5
        r0 = *(u8 *)(r2 +14)
        exit
        {OUT}
        """,
        prog_type="xdp",
    ),
    Program(
        "lock-on-stack",
        CALL,
        ARGUMENT,
        f"*(u64 *)(r10 -8) = 0; r1 = r10; r1 += -8; call helper#93; {EXIT}",
        prog_type="sched_cls",
    ),
    Program("key-is-context", CALL, ARGUMENT, f"r2 = r1; r1 = map hash; call helper#1; {EXIT}"),
    Program(
        "tail-call-of-hash", CALL, "Helper does not take this map", f"r2 = map hash; r3 = 0; call helper#12; {EXIT}"
    ),
    Program(
        "tail-call-of-array",
        CALL,
        "Helper does not take this map",
        f"r2 = map array; r3 = 1; call helper#12; {EXIT}",
    ),
    Program(
        "pointer-set-on-one-branch",
        REGISTER,
        "Invalid dereference",
        f"""
        {PACKET}
        r5 = 0
        r4 = r2
        r4 += 34
        if r4 > r3 goto merge
        r5 = r2
        merge:
        r5 += 34
        r4 = r5
        r4 += 8
        if r4 > r3 goto out
        r0 = *(u16 *)(r5 +2)
        exit
        {OUT}
        """,
        prog_type="xdp",
    ),
    Program(
        "recursion-through-another",
        STRUCTURE,
        "Recursive subprogram call",
        "call f; exit; f: call g; r0 = 0; exit; g: call f; r0 = 0; exit",
        on={"6.1": (STRUCTURE, "Back-edge is not allowed")},
    ),
    Program(
        "dynptr-copied",
        MEMORY,
        "Uninitialized stack read",
        f"""
        r1 = map ringbuf
        r2 = 8
        r3 = 0
        r4 = r10
        r4 += -16
        call helper#198
        r6 = *(u64 *)(r10 -16)
        {EXIT}
        """,
    ),
    Program(
        "value-index-one-too-far",
        MEMORY,
        BOUNDS,
        f"{VALUE} r1 = 16; r0 += r1; r0 = *(u32 *)(r0 +0); exit; {OUT}",
    ),
    Program(
        "size-larger-than-value",
        MEMORY,
        BOUNDS,
        f"r6 = r1; {VALUE} r1 = r6; r2 = 0; r3 = r0; r4 = 24; call helper#26; {OUT}",
    ),
    Program(
        "pointer-through-32-bits", REGISTER, "Invalid pointer arithmetic operator", f"r1 <<= 32; r1 >>= 32; {EXIT}"
    ),
    Program(
        "other-lookup-not-checked",
        REGISTER,
        "Invalid dereference",
        f"""
        {LOOKUP}
        if r0 == 0 goto out
        r1 = map array
        r2 = r10
        r2 += -8
        call helper#1
        r0 = *(u64 *)(r0 +0)
        exit
        {OUT}
        """,
        # The key is a constant within the array: newer verifiers know that the lookup finds its value.
        on={"7.2": ACCEPTED, "7.3": ACCEPTED},
    ),
)


def c_program(
    source: str, name: str, category: str, problem: str, *kfuncs: str, on: Mapping[str, Expectation] | None = None
) -> Program:
    """A function of c/``source``.bpf.c, and the kfuncs that it calls."""
    return Program(name, category, problem, source=source, kfuncs=kfuncs, on=on or {})


OBJ_NEW = "bpf_obj_new_impl"
RES_LOCK = "bpf_res_spin_lock"

C_PROGRAMS = (
    c_program("locks", "lock-taken-twice", CONTEXT, NOT_HERE),
    c_program("locks", "unlock-without-lock", LIFETIME, "Unlock without lock"),
    c_program("locks", "unlock-of-other-lock", LIFETIME, "Unlock of a different lock"),
    c_program("locks", "lock-left-on-one-path", CONTEXT, NOT_HERE),
    c_program("locks", "helper-under-lock", CONTEXT, NOT_HERE),
    c_program("locks", "global-function-under-lock", CONTEXT, NOT_HERE),
    c_program("locks", "lock-accessed-directly", MEMORY, "Special field is not accessible"),
    c_program("locks", "lock-is-elsewhere", CALL, "Special field expected"),
    c_program("locks", "lock-in-tracing", POLICY, "Map is not allowed for this program type"),
    c_program("res_locks", "res-lock-taken-twice", LIFETIME, "Recursive resource spin lock", RES_LOCK),
    c_program("res_locks", "res-unlock-out-of-order", LIFETIME, "Unlock out of order", RES_LOCK),
    c_program("res_locks", "res-unlock-without-lock", LIFETIME, "Unlock without lock", RES_LOCK),
    c_program("res_locks", "res-unlock-of-other-lock", LIFETIME, "Unlock of a different lock", RES_LOCK),
    c_program("res_locks", "irq-flag-of-other-kind", LIFETIME, "IRQ flag restore mismatch", RES_LOCK),
    c_program("memory", "lookup-not-checked", REGISTER, "Invalid dereference"),
    c_program("memory", "index-not-checked", MEMORY, BOUNDS),
    c_program("memory", "index-off-by-one", MEMORY, BOUNDS),
    c_program("memory", "index-checked-as-signed", REGISTER, "Pointer offset is not safe"),
    c_program("memory", "header-not-checked", MEMORY, BOUNDS),
    c_program("memory", "header-checked-too-short", MEMORY, BOUNDS),
    c_program("memory", "loop-over-packet", MEMORY, BOUNDS),
    c_program("memory", "sample-not-submitted", LIFETIME, "Unreleased resource"),
    c_program("memory", "sample-used-after-submit", REGISTER, "Invalid dereference"),
    c_program("memory", "read-only-data-written", POLICY, "Map access is forbidden"),
    c_program("memory", "string-not-constant", CALL, "Constant string expected"),
    c_program("memory", "format-not-known", CALL, "Invalid format string"),
    c_program("memory", "stack-read-by-variable", MEMORY, "Variable stack access"),
    c_program("memory", "context-field-wanted", MEMORY, "Invalid context access"),
    c_program("memory", "bounds-lost-by-copy", MEMORY, BOUNDS, on={"6.1": (REGISTER, "Pointer offset is not safe")}),
    c_program("memory", "global-argument-may-be-null", REGISTER, "Invalid dereference"),
    c_program("memory", "global-argument-wrong", CALL, ARGUMENT),
    c_program("memory", "index-checked-on-copy", MEMORY, BOUNDS),
    c_program("memory", "index-of-callback", MEMORY, BOUNDS),
    c_program("memory", "counted-in-loop", MEMORY, BOUNDS, "bpf_iter_num_new"),
    c_program("memory", "global-argument-unbounded", MEMORY, BOUNDS),
    c_program("objects", "object-leaked", LIFETIME, "Unreleased resource", OBJ_NEW),
    c_program("objects", "object-dropped-twice", CALL, ARGUMENT, OBJ_NEW),
    c_program("objects", "object-dropped-in-tree", CONTEXT, NOT_HERE, OBJ_NEW, "bpf_rbtree_add_impl"),
    c_program("objects", "tree-without-lock", CONTEXT, "Lock is not held", OBJ_NEW, "bpf_rbtree_add_impl"),
    c_program("objects", "node-used-after-unlock", REGISTER, "Invalid dereference", OBJ_NEW, "bpf_rbtree_add_impl"),
    c_program("objects", "refcount-of-stack", CALL, ARGUMENT, "bpf_refcount_acquire_impl"),
    c_program("objects", "constant-dynptr-released", LIFETIME, "Const dynptr release", on={"6.1": UNACQUIRED}),
    c_program(
        "objects", "constant-dynptr-initialized", LIFETIME, "Dynptr is already initialized", on={"6.1": ACCEPTED}
    ),
    c_program("objects", "task-used-after-release", CALL, ARGUMENT, "bpf_task_from_pid"),
    c_program("objects", "task-not-released-on-one-path", LIFETIME, "Unreleased resource", "bpf_task_from_pid"),
    c_program("objects", "task-walked-to-untrusted", CALL, ARGUMENT, "bpf_task_acquire"),
    c_program("objects", "timer-of-other-place", CALL, "Special field expected"),
    c_program("objects", "percpu-object-dropped-as-one", CALL, ARGUMENT, "bpf_percpu_obj_new_impl"),
    c_program("objects", "percpu-pointer-wanted", CALL, ARGUMENT, OBJ_NEW),
    c_program("objects", "thrown-in-callback", STRUCTURE, "Invalid callback", "bpf_throw"),
    c_program("objects", "thrown-with-reference", LIFETIME, "Unreleased resource", "bpf_throw", "bpf_task_from_pid"),
    c_program("objects", "exception-callback-called", STRUCTURE, "Invalid callback", "bpf_throw"),
    c_program("objects", "thrown-under-rcu", CONTEXT, NOT_HERE, "bpf_throw"),
    c_program(
        "objects", "sleepable-global-under-rcu", CONTEXT, NOT_HERE, "bpf_rcu_read_lock", on={"6.12": (CALL, ARGUMENT)}
    ),
)

LOST_POINTERS = (
    # What made a number of a pointer, or left it unset.
    Program(
        "pointer-cut-by-copy",
        REGISTER,
        "Invalid dereference",
        f"{PACKET} w4 = w2; r0 = *(u8 *)(r4 +0); exit",
        prog_type="xdp",
    ),
    Program(
        "stack-variable-never-set",
        REGISTER,
        "Invalid dereference",
        "r1 = *(u64 *)(r10 -8); r0 = *(u64 *)(r1 +0); exit",
        on=dict.fromkeys(("5.10", "6.1"), (MEMORY, "Uninitialized stack read")),
    ),
    Program(
        "null-from-stack",
        REGISTER,
        "Invalid dereference",
        "*(u64 *)(r10 -8) = 0; r1 = *(u64 *)(r10 -8); r0 = *(u64 *)(r1 +0); exit",
    ),
    Program(
        "register-set-on-one-branch",
        REGISTER,
        "Unreadable register",
        "r6 = *(u32 *)(r1 +0); if r6 == 0 goto unset; r3 = 1; unset: r0 = r3; exit",
    ),
    Program("call-argument-not-set", REGISTER, "Unreadable register", "r1 = map hash; call helper#1; r0 = 0; exit"),
    Program(
        "packet-compared-without-length",
        MEMORY,
        BOUNDS,
        f"{PACKET} if r2 > r3 goto out; r0 = *(u8 *)(r2 +0); exit; {OUT}",
        prog_type="xdp",
    ),
    Program(
        "stack-index-used-after-change",
        MEMORY,
        "Variable stack access",
        f"r6 = *(u32 *)(r1 +0); r2 = r10; r2 += -64; r2 += r6; r6 = 1; *(u8 *)(r2 +0) = r6; {EXIT}",
    ),
    Program(
        "context-of-xdp-written", MEMORY, "Invalid context access", f"*(u32 *)(r1 +8) = 0; {EXIT}", prog_type="xdp"
    ),
)

ACCEPTED_PROGRAMS = (
    Program("accepted-at-once", *ACCEPTED, EXIT),
    c_program("accepted", "accepted-with-functions", *ACCEPTED),
    c_program("accepted", "accepted-with-branches", *ACCEPTED),
)
"""Programs that are accepted, for what the verifier says about them."""

ON_5_10: Mapping[str, Expectation] = {
    "accepted-with-functions": (MALFORMED, "Invalid BTF info"),
    "bounds-lost-by-copy": (REGISTER, "Pointer offset is not safe"),
    "callback-without-btf": (MALFORMED, "Invalid instruction"),
    "dynptr-leak": (POLICY, "Unknown helper"),
    "dynptr-not-on-stack": (POLICY, "Unknown helper"),
    "dynptr-of-other-type": (POLICY, "Unknown helper"),
    "dynptr-overwritten": (POLICY, "Unknown helper"),
    "dynptr-reserved-twice": (POLICY, "Unknown helper"),
    "dynptr-submitted-twice": (POLICY, "Unknown helper"),
    "dynptr-uninitialized": (POLICY, "Unknown helper"),
    "format-not-known": (POLICY, "Unknown helper"),
    "global-argument-may-be-null": (STRUCTURE, "Unsupported function signature"),
    "global-argument-wrong": (STRUCTURE, "Unsupported function signature"),
    "index-of-callback": (MALFORMED, "Invalid BTF info"),
    "indirect-jump-without-table": (MALFORMED, "Invalid instruction"),
    "jump-into-ldimm64": (MALFORMED, "Invalid instruction"),
    "kfunc-destructive": (MALFORMED, "Invalid instruction"),
    "kfunc-id-0": (MALFORMED, "Invalid instruction"),
    "kfunc-not-a-function": (MALFORMED, "Invalid instruction"),
    "ldimm64-cut": (STRUCTURE, "Subprogram can fall through"),
    "recursion": (STRUCTURE, "Back-edge is not allowed"),
    "release-unreferenced-socket": (LIFETIME, "Release of what is not held"),
    "sleepable-helper-in-non-sleepable": (POLICY, NOT_ALLOWED),
    "string-not-constant": (POLICY, "Unknown helper"),
    "struct-ops-without-target": (MALFORMED, "Bad attach_btf_id"),
}
"""The expectations of Linux v5.10 that differ: it has no dynptrs, no kernel functions and no addresses of functions,
and its global functions take numbers only."""

PROGRAMS: tuple[Program, ...] = tuple(
    replace(program, on={**program.on, "5.10": ON_5_10[program.name]}) if program.name in ON_5_10 else program
    for program in (*ASSEMBLED, *KFUNC_PROGRAMS, *LOST_PROOFS, *LOST_POINTERS, *C_PROGRAMS, *ACCEPTED_PROGRAMS)
)
