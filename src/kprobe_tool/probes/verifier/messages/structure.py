# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about the shape of the program."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.STRUCTURE,
        "Jump out of range",
        (
            KernelMessage(
                rule="jump-out-of-range",
                wordings={"jump out of range from insn {at} to {to}": "5.10-7.3"},
                reason="Instruction {at} jumps to {to}, which lies outside of its function.",
                suggestion=(
                    "Compiled from C this is a call of a function that was not loaded with the program: one of the C "
                    "library, or with bcc one that is not inlined. Make it static and __always_inline, write its "
                    "code in its place, or use a helper. In instructions of your own, jump within the function."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Back-edge is not allowed",
        (
            KernelMessage(
                rule="back-edge",
                wordings={"back-edge from insn {at} to {to}": "5.10-7.3"},
                reason=(
                    "Instruction {at} leads back to {to}: this is a loop, which only loaders with CAP_BPF may load "
                    "and only since Linux 5.3, or a function that calls itself, which is never allowed."
                ),
                suggestion=(
                    "Unroll the loop, or load it with CAP_BPF; write a function that calls itself as a loop."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Missing jump table",
        (
            KernelMessage(
                rule="jump-table-missing",
                wordings={"no jump tables found for subprog starting at {insn}": "7.2-7.3"},
                reason="The function at instruction {insn} jumps through a table, and the program brought none.",
                suggestion="Load with a libbpf that makes jump tables, or compile without them (-fno-jump-tables).",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Jump table target out of range",
        (
            KernelMessage(
                rule="jump-table-range",
                wordings={"jump table for insn {at} points outside of the subprog [{low},{high}]": "7.2-7.3"},
                reason=(
                    "The table of instruction {at} has a target outside of its function, which is [{low}, {high}]."
                ),
                suggestion="Check what made the table.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Indirect jump out of range",
        (
            KernelMessage(
                rule="indirect-jump-range",
                wordings={"indirect jump out of range from insn {at} to {to}": "7.2-7.3"},
                reason="Instruction {at} can jump to {to}, which is outside of the program.",
                suggestion="Check what made the jump table.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Unreachable instruction",
        (
            KernelMessage(
                rule="unreachable",
                wordings={"unreachable insn {at}": "5.10-7.3"},
                reason="No path leads to instruction {at}.",
                suggestion="Remove the dead code; in C, check for code after a return or an endless loop.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Jump into ldimm64 immediate",
        (
            KernelMessage(
                rule="jump-into-ldimm64",
                wordings={"jump into the middle of ldimm64 insn {at}": "6.1-7.3"},
                reason="A jump leads to the second half of a 16-byte instruction, at {at}.",
                suggestion="Correct the offset of the jump: such an instruction counts as two.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Subprogram can fall through",
        (
            KernelMessage(
                rule="falls-through",
                wordings={"last insn is not an exit or jmp": "5.10-7.3"},
                reason=(
                    "A function of the program does not end with exit or a jump, so it would run on into what lies "
                    "behind it."
                ),
                suggestion=(
                    "End every function with a return, and compile with optimization (-O2; in Rust --release: a "
                    "debug build calls code for panics that never returns). In C, look for undefined behaviour, "
                    "after which the compiler stops generating code."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Recursive subprogram call",
        (
            KernelMessage(
                rule="recursion",
                wordings={"recursive call from {caller}() to {callee}()": "7.2-7.3"},
                reason="A function calls itself, directly or through others.",
                suggestion="Make a loop of the recursion.",
            ),
        ),
        CauseClass.SOURCE,
        "a function is called within itself",
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Undefined behaviour in the source",
        (
            KernelMessage(
                rule="undefined-behaviour",
                wordings={"unexpected __bpf_trap() due to uninitialized variable?": "7.2-7.3"},
                reason=(
                    "The compiler has put a trap here: from here on the source has no defined meaning, most often "
                    "because a variable is used that was never set."
                ),
                suggestion="Compile with -Wall -Wuninitialized and set the variable on every path.",
            ),
        ),
        CauseClass.SOURCE,
        "the compiler put a trap there",
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Invalid call destination",
        (
            KernelMessage(
                rule="call-destination",
                wordings={
                    "call to invalid destination": "5.10-7.3",
                    "invalid insn idx {at} insn_cnt {count}": "5.10-7.3",
                },
                reason="A call or jump leads to where no function or instruction begins.",
                suggestion="Check the relocations of the object file; let libbpf load it.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Invalid callback",
        (
            KernelMessage(
                rule="callback-function",
                wordings={
                    "callback function not static": "6.1-7.3",
                    "callback function cannot be the main program": "6.1-7.3",
                    "callback function not allowed for map": "6.1-7.3",
                },
                reason="Only a static function of this program can be a callback, and not for every type of map.",
                suggestion="Pass a static function of this program, which is not its main function.",
            ),
            KernelMessage(
                rule="exception-callback-called",
                wordings={"insn {at} cannot call exception cb directly": "6.12-7.3"},
                reason=(
                    "Instruction {at} calls the function that is declared as the program's exception callback, which "
                    "only the kernel calls, after bpf_throw()."
                ),
                suggestion="Put what both need into a third function, and call that one.",
            ),
            KernelMessage(
                rule="throw-in-callback",
                wordings={
                    "bpf_throw kfunc (insn {at}) cannot be called from callback subprog {number}": "6.12-7.3",
                },
                reason=(
                    "Instruction {at} calls bpf_throw() in a callback (function number {number}, or one that it "
                    "calls): the function of the kernel that called back would never come to its end."
                ),
                suggestion=(
                    "Return a number from the callback that ends the loop, keep the error in a variable, and throw "
                    "after the function that called back has returned."
                ),
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Unsupported function signature",
        (
            KernelMessage(
                rule="signature-global",
                wordings={
                    "Global function {func}() doesn't return scalar. Only those are supported.": "5.10-6.12",
                    "Global function {func}() return value not void or scalar. Only those are supported.": "7.2-7.3",
                },
                reason=(
                    "Global functions are checked on their own, and {func}() returns something other than a number."
                ),
                suggestion="Return a number, or make it static.",
            ),
            KernelMessage(
                rule="signature-argument",
                wordings={"Arg#{number} type {word} in {func}() is not supported yet.": "5.10-7.3"},
                reason=(
                    "Argument {number} of the global function {func}() is of a type ({word}) that cannot be checked "
                    "on its own."
                ),
                suggestion="Make the function static, or pass a number or a pointer to a structure of known size.",
            ),
            KernelMessage(
                rule="signature-count",
                wordings={
                    "Function {func} has {count} > {limit} args": "6.1-7.3",
                    "Global function {func}() with {count} > {limit} args. Buggy compiler.": "6.1-6.12",
                    "global function {func} has {count} > {limit} args, stack args not supported": "7.2-7.3",
                },
                reason="{func}() takes {count} arguments, and this kernel passes {limit} at most.",
                suggestion="Pass a pointer to a structure.",
            ),
        ),
    ),
    MessageGroup(
        Category.MALFORMED,
        "Missing BTF",
        (
            KernelMessage(
                rule="subprogram-needs-btf",
                wordings={
                    "LD_ABS is not allowed in subprogs without BTF": "5.10-7.3",
                    "tail_call is not allowed in subprogs without BTF": "5.10-7.3",
                    "LD_ABS is only allowed in functions that return 'int'.": "5.10-7.3",
                    "tail_call is only allowed in functions that return 'int'.": "5.10-7.3",
                },
                reason=(
                    "A function other than the main one may make tail calls, or use the old packet access (LD_ABS), "
                    "only if its BTF says that it returns int."
                ),
                suggestion="Compile with -g, and return int.",
            ),
        ),
        CauseClass.COMPILER,
        "the object has no BTF for it",
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Tail call is not allowed here",
        (
            KernelMessage(
                rule="tail-call-mixed",
                wordings={
                    "mixing of tail_calls and bpf-to-bpf calls is not supported": "7.2-7.3",
                    "tail_calls are not allowed in programs with stack args": "7.2-7.3",
                    "program with __ref argument cannot tail call": "7.2-7.3",
                    "tail_calls are not allowed in non-JITed programs with bpf-to-bpf calls": "5.10-7.3",
                },
                reason=(
                    "On this kernel a program that has functions of its own (not inlined), arguments on the stack or "
                    "a referenced argument cannot make tail calls."
                ),
                suggestion="Inline the functions (__always_inline), or do without the tail call.",
            ),
        ),
    ),
)
