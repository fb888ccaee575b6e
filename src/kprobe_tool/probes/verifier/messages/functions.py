# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about functions as BTF declares them: global ones, replaced and traced ones, exception callbacks."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.STRUCTURE,
        "Invalid function argument",
        (
            KernelMessage(
                rule="global-argument-size",
                wordings={
                    "{arg} reference type('{text}') size cannot be determined: {number}": "7.3",
                },
                reason=(
                    "{arg} of a global function points to {text}, whose size the program's BTF does not tell: the "
                    "type is only declared, not defined. A global function is checked alone, so it needs to know "
                    "how much memory a pointer leads to."
                ),
                suggestion="Include the header that defines the type, or make the function static.",
                detail=True,
            ),
            KernelMessage(
                rule="global-argument-no-match",
                wordings={
                    "{arg} reference type('{text}') has no matches": "7.3",
                    "{arg} reference type('{text}') is ambiguous": "7.3",
                    "{arg} reference type('{text}') candidate matching error: {number}": "7.3",
                },
                reason=(
                    "{arg} of a global function is tagged as a pointer to an object of the kernel's, {text}, and "
                    "this kernel has not exactly one type of that name and layout."
                ),
                suggestion=(
                    "Use a type that the kernel has (bpftool btf dump file /sys/kernel/btf/vmlinux), or leave out "
                    "the tag (__arg_trusted, __arg_untrusted) for memory of the program's own."
                ),
            ),
            KernelMessage(
                rule="global-argument-module-type",
                wordings={"{arg} reference type('{text}') points to kernel module type (unsupported)": "7.3"},
                reason=(
                    "{arg} of a global function points to {text}, a type of a kernel module, and the verifier "
                    "takes only types of the kernel's own there."
                ),
                suggestion="Make the function static, so that it is checked with its callers.",
            ),
            KernelMessage(
                rule="global-argument-tags",
                wordings={
                    "{arg} has invalid combination of tags": "7.3",
                    "{arg} untrusted cannot be combined with any other tags": "7.3",
                    "{arg} arena cannot be combined with any other tags": "7.3",
                },
                reason="{arg} of a global function has tags (__arg_...) that do not go together.",
                suggestion="Keep the one tag that says what callers pass.",
            ),
            KernelMessage(
                rule="global-argument-tag-unknown",
                wordings={
                    "{arg} has unsupported set of tags": "7.3",
                    "{arg} type tag fetching failure: {number}": "7.3",
                },
                reason="{arg} of a global function has a tag (__arg_...) that this kernel does not know.",
                suggestion="Use a tag that this kernel knows, or a newer kernel.",
            ),
            KernelMessage(
                rule="global-argument-tag-no-pointer",
                wordings={"{arg} has pointer tag, but is not a pointer type": "7.3"},
                reason="{arg} of a global function has a tag for pointers (__arg_...), and is none.",
                suggestion="Remove the tag, or declare the argument as a pointer.",
            ),
            KernelMessage(
                rule="static-argument-tag",
                wordings={"{arg} type tag is not supported in static functions": "7.3"},
                reason="{arg} of a static function has a tag (__arg_...), which only global functions may have.",
                suggestion="Remove the tag, or make the function global.",
            ),
            KernelMessage(
                rule="global-argument-type",
                wordings={"{arg} has type {word} '{name}', but only struct or primitive types are allowed": "7.3"},
                reason="{arg} of a global function is tagged as untrusted and points to {word} '{name}'.",
                suggestion="Let it point to a structure or a primitive type.",
            ),
            KernelMessage(
                rule="context-argument-type",
                wordings={
                    "{arg} struct doesn't have a name": "7.3",
                    "{arg} type isn't a pointer": "7.3",
                    "{arg} type doesn't have a name": "7.3",
                    "{arg} should be void pointer": "7.3",
                    "{arg} should be `struct {name} *`": "7.3",
                },
                reason=(
                    "{arg} is the program's context, and is not declared as programs of this type get it from the "
                    "kernel."
                ),
                suggestion=(
                    "Declare it with the context's type of this program type, as in the kernel's documentation."
                ),
                detail=True,
            ),
            KernelMessage(
                rule="global-needs-btf",
                wordings={
                    "Global functions need valid BTF": "7.3",
                    "BTF of {func} doesn't point to KIND_FUNC": "7.3",
                    "Invalid type of function {func}()": "7.3",
                    "function signature member has multiple type tags": "7.3",
                },
                reason=(
                    "A function is checked by what BTF says of its arguments, and the program's BTF does not say it."
                ),
                suggestion="Compile with -g for the BPF target, and do not strip the sections .BTF and .BTF.ext.",
            ),
            KernelMessage(
                rule="function-too-many-arguments",
                wordings={
                    "kernel supports at most {limit} parameters, function {func} has {count}": "7.3",
                    "JIT does not support function {func}() with {count} args": "7.3",
                },
                reason=(
                    "The function {func}() has {count} parameters, more than this kernel or its JIT compiler for "
                    "this processor can pass."
                ),
                suggestion="Pass a pointer to a structure instead of single values.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Stack argument is misused",
        (
            KernelMessage(
                rule="stack-argument-order",
                wordings={"r11 load must be before any r11 store or call insn": "7.3"},
                reason=(
                    "The function reads an argument that it got on the stack after it has begun to pass some of "
                    "its own, or has called a function: what it got may be overwritten by then."
                ),
                suggestion="Read all stack arguments first. If the source does, the fault is the compiler's.",
            ),
            KernelMessage(
                rule="stack-argument-read",
                wordings={"invalid read from stack arg off {off} depth {size}": "7.3"},
                reason="The function reads the stack argument at {off}, and its callers pass {size} bytes of them.",
                suggestion="Declare the function with all of its parameters where it is called.",
            ),
            KernelMessage(
                rule="stack-argument-write",
                wordings={"stack arg write offset {off} exceeds max {limit} stack args": "7.3"},
                reason="The program passes an argument at {off}, and a call can have {limit} arguments on the stack.",
                suggestion="Pass a pointer to a structure instead of single values.",
            ),
            KernelMessage(
                rule="stack-argument-unused",
                wordings={"{func} writes {count} stack arg slots, but calls only require {limit}": "7.3"},
                reason=(
                    "The function {func} writes {count} arguments to the stack, and the functions that it calls "
                    "take {limit}."
                ),
                suggestion="Call each function with the arguments of its declaration.",
            ),
        ),
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Invalid exception callback",
        (
            KernelMessage(
                rule="exception-callback-several",
                wordings={"multiple exception callback tags for main subprog": "7.3"},
                reason="The program names more than one function to be called when it throws an exception.",
                suggestion="Keep one __exception_cb().",
            ),
            KernelMessage(
                rule="exception-callback-missing",
                wordings={
                    "exception callback '{name}' could not be found in BTF": "7.3",
                    "exception callback type id not found in func_info": "7.3",
                    "invalid exception callback insn_off in func_info: 0": "7.3",
                },
                reason="The function that __exception_cb() names is not in the program that is loaded.",
                suggestion="Define it in the same object, and do not inline it.",
            ),
            KernelMessage(
                rule="exception-callback-static",
                wordings={"exception callback '{name}' must have global linkage": "7.3"},
                reason="The exception callback {name}() is static.",
                suggestion="Remove static from its definition.",
            ),
            KernelMessage(
                rule="exception-callback-signature",
                wordings={
                    "exception cb cannot return void": "7.3",
                    "exception cb only supports single integer argument": "7.3",
                },
                reason=(
                    "The exception callback gets the number that was thrown and gives the program's return value, "
                    "and it is not declared so."
                ),
                suggestion="Declare it as int NAME(u64 cookie).",
            ),
        ),
        CauseClass.SOURCE,
        "the message is about how the program declares its exception callback",
    ),
    MessageGroup(
        Category.STRUCTURE,
        "Program cannot replace or trace this function",
        (
            KernelMessage(
                rule="replaced-not-global",
                wordings={"{func}() is not a global function": "7.3"},
                reason="{func}() is static, and only global functions can be replaced or traced.",
                suggestion="Remove static from it in the program that is attached to, and load that again.",
            ),
            KernelMessage(
                rule="replaced-other-signature",
                wordings={
                    "{caller}() has {number} args while {callee}() has {count} args": "7.3",
                    "Return type {what} of {caller}() doesn't match type {what2} of {callee}()": "7.3",
                    "{arg} in {caller}() is {what} while {callee}() has {what2}": "7.3",
                    "{arg} in {caller}() has size {size} while {callee}() has {number}": "7.3",
                    "{arg} {caller}(struct {what} *) doesn't match {callee}(struct {what2} *)": "7.3",
                },
                reason="{caller}() is to replace {callee}(), and the two are not declared alike.",
                suggestion="Declare both with the same arguments and return type.",
            ),
            KernelMessage(
                rule="replaced-argument",
                wordings={
                    "{arg} in {func}() has unrecognized type": "7.3",
                    "{arg} in {func}() is not a pointer to context": "7.3",
                },
                reason=(
                    "A function that replaces another may take numbers and the program's context, and {arg} of "
                    "{func}() is something else."
                ),
                suggestion="Pass numbers, or the context.",
            ),
            KernelMessage(
                rule="replacement-needs",
                wordings={
                    "Program extension requires BTF": "7.3",
                    "Extension programs should be JITed": "7.3",
                    "freplace programs with >{limit} args not supported yet": "7.3",
                },
                reason="A program that replaces a function of another needs BTF, the JIT compiler and few arguments.",
                suggestion=(
                    "Compile with -g; set /proc/sys/net/core/bpf_jit_enable to 1; and give the function at most "
                    "five arguments."
                ),
            ),
            KernelMessage(
                rule="attach-to-exception-callback",
                wordings={"{word} programs cannot attach to exception callback": "7.3"},
                reason="The function to attach to is the exception callback of its program.",
                suggestion="Attach to another function of it.",
            ),
            KernelMessage(
                rule="attach-to-arena-context",
                wordings={"Cannot attach to a target with arena context arguments": "7.3"},
                reason=(
                    "The program to attach to gets pointers into an arena, which the attached program would take for "
                    "plain ones."
                ),
                suggestion="Attach to another function of it.",
            ),
            KernelMessage(
                rule="attach-other-device",
                wordings={"Target program bound device mismatch": "7.3"},
                reason=(
                    "The program is bound to a network device, and the one that it attaches to is bound to another."
                ),
                suggestion="Load both for the same device.",
            ),
            KernelMessage(
                rule="traced-function-unsupported",
                wordings={
                    "The function {func} has {count} arguments. Too many.": "7.3",
                    "The function {func} return type {what} is unsupported.": "7.3",
                    "The function {func} with variable args is unsupported.": "7.3",
                    "The function {func} {arg} type {what} is unsupported.": "7.3",
                    "The function {func} has malformed void argument.": "7.3",
                },
                reason=(
                    "A fentry, fexit or fmod_ret program cannot be attached to {func}(): its arguments or what it "
                    "returns cannot be handed over."
                ),
                suggestion="Attach a kprobe to it, or trace a function that it calls or is called by.",
            ),
            KernelMessage(
                rule="traced-argument-type",
                wordings={
                    "func '{func}' {arg} '{name}' has type {what}. Only pointer access is allowed": "7.3",
                    "func '{func}' {arg} type {what} has multiple type tags": "7.3",
                    "func '{func}' {arg} type {what} is not a struct": "7.3",
                },
                reason=(
                    "{arg} of {func}() is of type {what}, and programs can read only numbers and pointers to "
                    "structures."
                ),
                suggestion="Read it with bpf_get_func_arg(), or attach a kprobe and read the registers.",
                detail=True,
            ),
            KernelMessage(
                rule="struct-ops-member-invalid",
                wordings={"attach to invalid member {name}(@idx {number}) of struct {what}": "7.3"},
                reason="The member {name} of struct {what} is no function that a program can implement.",
                suggestion='Name a function pointer of the structure in SEC("struct_ops/NAME").',
            ),
        ),
    ),
)
