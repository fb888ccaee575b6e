# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages about the arguments of calls."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import Category, CauseClass
from kprobe_tool.probes.verifier.messages.row import Follow, KernelMessage, MessageGroup

GROUPS = (
    MessageGroup(
        Category.CALL,
        "Invalid call argument",
        (
            KernelMessage(
                rule="argument-type",
                wordings={"{arg} type={type} expected={list}": "5.10"},
                reason="The call wants {list} as this argument, and {arg} is of type {type}.",
                suggestion=(
                    "Pass a value of a type that the function takes; where {arg} became a number, see what made it "
                    "one."
                ),
                follow=Follow.REGISTER,
                lost_pointer=True,
            ),
            KernelMessage(
                rule="argument-may-be-null",
                wordings={
                    "Possibly NULL pointer passed to helper {arg}": "6.12-7.3",
                    "Possibly NULL pointer passed to trusted {arg}": "6.12-7.3",
                },
                reason="{arg} may be NULL here, and the function does not take NULL.",
                suggestion="Compare the pointer with NULL, and call only where it is not NULL.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-not-referenced",
                wordings={
                    "release helper {func} expects referenced PTR_TO_BTF_ID passed to {arg}": "7.2-7.3",
                    "release kfunc {func} expects referenced PTR_TO_BTF_ID passed to {arg}": "7.2-7.3",
                },
                reason=(
                    "{func} gives back a reference, and {arg} holds none: it was not acquired on this path, or has "
                    "been given back."
                ),
                suggestion="Pass the pointer that was acquired, once.",
                follow=Follow.REGISTER,
                lost_pointer=True,
            ),
            KernelMessage(
                rule="argument-not-referenced-old",
                wordings={"release kernel function {func} expects refcounted PTR_TO_BTF_ID": "6.1-6.12"},
                reason="{func} gives back a reference, and what it gets holds none.",
                suggestion="Pass the pointer that was acquired, once.",
            ),
            KernelMessage(
                rule="argument-unacquired",
                wordings={
                    "{arg} must be referenced when passed to release function": "6.1-6.12",
                    "{arg} must be referenced": "6.1",
                },
                reason=(
                    "The call gives back a reference, and its argument holds none: it was not acquired on this "
                    "path, or has been given back."
                ),
                suggestion="Pass the pointer that was acquired, once.",
                follow=Follow.REGISTER,
                lost_pointer=True,
            ),
            KernelMessage(
                rule="argument-dynptr",
                wordings={
                    "{arg} expected pointer to stack or const struct bpf_dynptr": "6.12-7.3",
                    "{arg} expected pointer to stack or dynptr_ptr": "6.3, 6.6",
                    "{arg} pointer type {name} {type} not to stack": "6.1",
                },
                reason="{arg} must be the address of a struct bpf_dynptr that is a variable on the stack.",
                suggestion="Declare the dynptr as a local variable and pass its address.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="dynptr-of-other-memory",
                wordings={"Unsupported reg type {type} for bpf_dynptr_from_mem data": "6.12"},
                reason="bpf_dynptr_from_mem() takes map values only, and it is given memory of type {type}.",
                suggestion="Pass a pointer into a map value, or use the dynptr of a ring buffer, skb or xdp.",
            ),
            KernelMessage(
                rule="argument-dynptr-type",
                wordings={"Expected a dynptr of type {type} as {arg}": "6.1-7.3"},
                reason="{arg} must be a dynptr of type {type}, and this one was made from something else.",
                suggestion="Use the functions that go with what the dynptr was made from.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-iterator",
                wordings={
                    "{arg} expected pointer to an iterator on stack": "6.12-7.3",
                    "expected valid iter pointer as {arg}": "6.12-7.3",
                },
                reason="{arg} must be the address of an iterator that is a variable on the stack.",
                suggestion="Declare it as a local variable and pass its address.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-not-scalar",
                wordings={"{arg} is not a scalar": "5.10-7.3"},
                reason="The function wants a number as this argument, and {arg} is a pointer or was never set.",
                suggestion="Pass a number.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-not-constant",
                wordings={"{arg} must be a known constant": "6.12-7.3", "{arg} is not a const": "6.1-7.3"},
                reason=(
                    "The value of this argument must be known when the program is loaded, and that of {arg} is not."
                ),
                suggestion="Pass a literal or a constant.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-size-limit",
                wordings={
                    "{arg} allocation size exceeds u32 max": "7.3",
                    "{arg} rdonly/rdwr_buf_size exceeds u32 max": "6.1-7.2",
                },
                reason="The size in {arg} does not fit into 32 bits.",
                suggestion="Pass a smaller size.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-context",
                wordings={"{arg} expected pointer to ctx, but got {type}": "5.10-7.3"},
                reason=(
                    "This argument must be the context that the program was called with, and {arg} is of type {type}."
                ),
                suggestion="Pass the context pointer on unchanged.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-allocated",
                wordings={"{arg} expected pointer to allocated object": "6.12-7.3"},
                reason="{arg} must point to an object that bpf_obj_new() made.",
                suggestion="Pass such an object.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-allocated-reference",
                wordings={"allocated object must be referenced": "6.12-7.3"},
                reason="The call takes over an allocated object, and the pointer does not own it.",
                suggestion="Pass the owning pointer, before it was added to a list or tree or dropped.",
                follow=Follow.R1,
            ),
            KernelMessage(
                rule="argument-trusted",
                wordings={"{arg} must be referenced or trusted": "6.12-7.3"},
                reason=(
                    "The kernel cannot be sure that what {arg} points to is still there: the pointer is neither "
                    "trusted nor holds a reference, because it was read from an object that may go away, or does "
                    "not point to a kernel object at all."
                ),
                suggestion=(
                    "Acquire a reference first (bpf_task_acquire() and the like), or take the pointer from the "
                    "program's arguments."
                ),
                follow=Follow.REGISTER,
                lost_pointer=True,
            ),
            KernelMessage(
                rule="argument-rcu",
                wordings={"{arg} must be a rcu pointer": "6.12-7.3"},
                reason="{arg} must be protected by RCU, or be trusted or referenced.",
                suggestion="Load and use the pointer between bpf_rcu_read_lock() and bpf_rcu_read_unlock().",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-kind",
                wordings={"{arg} is {word} expected {list}": "7.3"},
                reason="The function wants {list}, and {arg} is {word}.",
                suggestion="Pass what the function's signature asks for.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-memory",
                wordings={
                    "{arg} and {len} memory, len pair leads to invalid memory access": "7.2-7.3",
                    "{arg} {len} memory, len pair leads to invalid memory access": "6.1-7.3",
                },
                reason=(
                    "{arg} and {len} are a buffer and its size, and the size can be larger than the buffer, or not "
                    "bounded."
                ),
                suggestion="Bound the size, or pass a larger buffer.",
                follow=Follow.LENGTH,
                sums_up=True,
                lost_bound=True,
            ),
            KernelMessage(
                rule="argument-owning",
                wordings={"{arg} is neither owning or non-owning ref": "6.12-7.3"},
                reason="{arg} must point to a node that the program owns or has borrowed from a list or tree.",
                suggestion="Pass the pointer that bpf_obj_new() or a list or tree operation returned.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-string",
                wordings={"{arg} doesn't point to a const string": "6.12-7.3"},
                reason="{arg} must point to a constant string in a read-only map.",
                suggestion="Pass a string literal, or a const array in .rodata.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-irq-flag",
                wordings={"{arg} doesn't point to an irq flag on stack": "7.2-7.3"},
                reason="{arg} must be the address of a local unsigned long that holds saved IRQ flags.",
                suggestion="Declare it as a local variable and pass its address.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-map-value",
                wordings={
                    "{arg} doesn't point to a map value": "6.12-7.3",
                    "{arg} doesn't point to map value or allocated object": "7.2-7.3",
                    "{arg} expected pointer to map value or allocated object": "6.12-7.3",
                    "{arg} expected pointer to map value": "6.1",
                },
                reason="{arg} must point into the value of a map (or, for some functions, an allocated object).",
                suggestion="Look the value up and pass a pointer to it.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-map",
                wordings={"pointer in {arg} isn't map pointer": "6.12-7.3"},
                reason="{arg} must be a map.",
                suggestion="Pass the address of the map itself.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-refcount",
                wordings={"{arg} doesn't point to a type with bpf_refcount field": "6.12-7.3"},
                reason="{arg} points to a structure that has no struct bpf_refcount in it.",
                suggestion="Add the field to the structure.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-function",
                wordings={"{arg} expected pointer to func": "6.12-7.3"},
                reason="{arg} must be the address of a static function of the program.",
                suggestion="Pass the function itself.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-drop",
                wordings={"{arg} expected for {func}()": "6.12-7.3"},
                reason="{arg} is an object that this function does not give back; {func}() does.",
                suggestion=(
                    "Objects of bpf_obj_new() are given back with bpf_obj_drop(), per-CPU ones of "
                    "bpf_percpu_obj_new() with bpf_percpu_obj_drop()."
                ),
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-struct",
                wordings={"{arg} is of type {type} but {name} is expected": "5.10-7.3"},
                reason="{arg} points to a {type}, and the function takes a {name}.",
                suggestion="Pass a pointer to a {name}.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-kfunc-struct",
                wordings={
                    (
                        "kernel function {func} {arg} expected pointer to {word} {name} but {arg2} has a "
                        "pointer to {list}"
                    ): "6.1, 7.2, 7.3"
                },
                reason="{func} takes a pointer to {word} {name} as {arg}, and gets one to {list}.",
                suggestion="Pass a pointer to what the function's signature has.",
                follow=Follow.REGISTER2,
            ),
            KernelMessage(
                rule="argument-kfunc-memory",
                wordings={"{arg} pointer type {word} {name} must point to {list}": "6.1-7.3"},
                reason=(
                    "{arg} points to {word} {name}, which cannot be passed as plain memory: it holds pointers or "
                    "other things than numbers."
                ),
                suggestion="Pass memory that holds numbers only, or a pointer of the type the kernel knows.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-kfunc-unsupported",
                wordings={
                    "kernel function {func} {arg} pointer type {word} {name} is not supported": "6.1-7.2",
                    "Unrecognized {arg} type {name}": "5.10-7.3",
                },
                reason="The type of argument {arg} is one that the verifier cannot check.",
                suggestion="Use another kernel function: programs cannot call this one.",
            ),
            KernelMessage(
                rule="argument-context-wanted",
                wordings={"{arg} expects pointer to ctx": "6.12-7.3"},
                reason="This function of the program takes the context as {arg}, and gets something else.",
                suggestion="Pass the context on unchanged.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-not-null",
                wordings={"{arg} is expected to be non-NULL": "6.12-7.3"},
                reason=(
                    "The function is declared to take no NULL as {arg} (__arg_nonnull), and the pointer may be NULL."
                ),
                suggestion="Compare the pointer with NULL before the call.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-arena",
                wordings={
                    "{arg} is not a pointer to arena or scalar": "7.3",
                    "{arg} is not a pointer to arena or scalar.": "6.12-7.3",
                },
                reason="{arg} must be a pointer into the arena.",
                suggestion="Pass a pointer into the arena.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-stale-packet",
                wordings={"{arg} is a packet pointer, but func#{number} may change packet data": "7.2-7.3"},
                reason="{arg} points into the packet, and the function may move the packet while it has it.",
                suggestion="Let the function read data and data_end from the context itself.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-moved",
                wordings={
                    "{arg} must have zero offset when passed to release func or trusted arg to kfunc": "6.12-7.3",
                    "{arg} must have zero offset when passed to release func": "6.1",
                },
                reason="{arg} was moved from the start of the object, and the function needs the start.",
                suggestion="Pass the pointer as it was handed out.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-not-constant-helper",
                wordings={"{arg} is not a known constant'": "6.1-7.2"},
                reason=(
                    "The helper needs this value when the program is loaded, and that of {arg} is not known then."
                ),
                suggestion="Pass a literal or a constant.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="argument-const-dynptr",
                wordings={"cannot pass pointer to const bpf_dynptr, the helper mutates it": "6.12"},
                reason="The dynptr was lent to a callback for reading, and the helper would change it.",
                suggestion="Use a dynptr that the program made itself.",
            ),
            KernelMessage(
                rule="argument-node",
                wordings={
                    "rbtree_remove node input must be non-owning ref": "6.12",
                    "{func} can only take non-owning or refcounted bpf_rb_node pointer": "7.2-7.3",
                },
                reason="The call takes a pointer that was borrowed from the tree (non-owning), and this one was not.",
                suggestion="Pass the pointer that a search of the tree returned, while its lock is held.",
            ),
            KernelMessage(
                rule="object-at-offset",
                wordings={
                    "cannot pass in {what} at an offset={off}": "6.12-7.3",
                    "cannot pass in dynptr at an offset": "6.1",
                },
                reason="The function needs the address where the object begins, and gets one within it.",
                suggestion="Pass the address of the variable.",
            ),
            KernelMessage(
                rule="kptr-type",
                wordings={"invalid kptr access, {arg} type={type} expected={list}": "6.1-7.3"},
                reason="The field takes {list}, and {arg} is of type {type}.",
                suggestion="Store a pointer of the type that the field is declared with.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="kptr-type-old",
                wordings={"{arg} must point to kernel BTF": "6.1"},
                reason="{arg} must point to a kernel structure.",
                suggestion="Pass such a pointer.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="caller-arguments",
                wordings={
                    "Caller passes invalid args into func#{number} ('{func}')": "6.12-7.3",
                    "Caller passes invalid args into func#{number}": "5.10-6.1",
                },
                reason="The arguments of this call do not fit what the function is declared to take.",
                suggestion=(
                    "Compare the call with the function's signature; a global function is checked on its own, with "
                    "what its signature says only."
                ),
                detail=True,
            ),
        ),
    ),
    MessageGroup(
        Category.CALL,
        "Constant string expected",
        (
            KernelMessage(
                rule="argument-read-only-map",
                wordings={
                    "{arg} points to insn_array map which cannot be used as const string": "7.2-7.3",
                    "{arg} points to percpu_array map which cannot be used as const string": "7.3",
                    "{arg} does not point to a readonly map'": "6.1-7.3",
                    "{arg} is not a constant address'": "6.1-7.3",
                },
                reason="{arg} must be the address of constant data in a frozen read-only map.",
                suggestion="Pass a string literal, or a const array in .rodata.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
    MessageGroup(
        Category.CALL,
        "Invalid format string",
        (
            KernelMessage(
                rule="argument-format",
                wordings={
                    "string is not zero-terminated": "6.1-7.3",
                    "Invalid format string": "6.1-7.3",
                    "direct value access on string failed": "6.1-7.3",
                },
                reason=(
                    "The string cannot be read to its end when the program is loaded, or is no format the helper "
                    "knows."
                ),
                suggestion="Pass a literal that ends in a zero byte, with conversions the helper supports.",
            ),
        ),
        CauseClass.SOURCE,
        "the message is about the format",
    ),
    MessageGroup(
        Category.CALL,
        "Packet pointer is not allowed here",
        (
            KernelMessage(
                rule="argument-packet",
                wordings={"helper access to the packet is not allowed": "5.10-7.3"},
                reason="This helper takes no pointers into a packet, or not in this program type.",
                suggestion="Copy the data to the stack and pass the copy.",
            ),
        ),
    ),
    MessageGroup(
        Category.CALL,
        "Invalid size argument",
        (
            KernelMessage(
                rule="size-negative",
                wordings={"{arg} min value is negative, either use unsigned or 'var &= const'": "5.10-7.3"},
                reason="The size in {arg} can be negative.",
                suggestion=(
                    "Keep it in an unsigned variable and bound it (if (size > MAX) return; or size &= MAX), in the "
                    "register that is passed."
                ),
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="size-unbounded",
                wordings={
                    "{arg} unbounded memory access, use 'var &= const' or 'if (var < const)'": "5.10-7.3",
                    "{arg} unbounded size, use 'var &= const' or 'if (var < const)'": "5.10",
                },
                reason="The size in {arg} has no upper limit.",
                suggestion=(
                    "Bound it (if (size > MAX) return; or size &= MAX) right before the call, in the register that "
                    "is passed."
                ),
                follow=Follow.REGISTER,
                lost_bound=True,
            ),
            KernelMessage(
                rule="size-zero",
                wordings={"{arg} invalid zero-sized read: u64=[{low},{high}]": "6.12-7.3"},
                reason="The size in {arg} can be 0, and this helper wants at least 1.",
                suggestion="Check that the size is not 0 before the call.",
                follow=Follow.REGISTER,
            ),
            KernelMessage(
                rule="size-zero-buffer",
                wordings={"invalid zero-sized read": "5.10-7.3"},
                reason="The size can be 0, and this access wants at least 1.",
                suggestion="Check before the access that the size is not 0.",
            ),
            KernelMessage(
                rule="size-large",
                wordings={"{arg} memory size {size} is too large": "7.2-7.3"},
                reason="The function's argument {arg} is declared with {size} bytes, more than the verifier checks.",
                suggestion="Make it smaller.",
            ),
        ),
    ),
    MessageGroup(
        Category.CALL,
        "Helper does not take this map",
        (
            KernelMessage(
                rule="map-type",
                wordings={"cannot pass map_type {number} into func {func}#{id}": "5.10-7.3"},
                reason="{func}() does not work on maps of type {number} (enum bpf_map_type).",
                suggestion="Use the helper that goes with this type of map.",
            ),
            KernelMessage(
                rule="tail-call-map",
                wordings={"expected prog array map for tail call": "6.18-7.3"},
                reason="bpf_tail_call() is given a map that is no array of programs.",
                suggestion=(
                    "Declare the map with BPF_MAP_TYPE_PROG_ARRAY (key and value of 4 bytes), and put the programs "
                    "into it from user space."
                ),
            ),
            KernelMessage(
                rule="map-access",
                wordings={
                    "invalid map_ptr to access map->type": "5.10-7.3",
                    "invalid map_ptr to access map->key": "5.10-7.3",
                    "invalid map_ptr to access map->value": "5.10-7.3",
                },
                reason=(
                    "Which map the helper is to work on must be known when the program is loaded, and is not known "
                    "at this instruction."
                ),
                suggestion="Pass the address of one map, the same one on every path.",
            ),
            KernelMessage(
                rule="map-uid",
                wordings={
                    "timer pointer in R1 map_uid={number} doesn't match map pointer in R2 map_uid={id}": "6.1-7.2",
                    (
                        "workqueue pointer in R1 map_uid={number} doesn't match map pointer in R2 map_uid={id}"
                    ): "6.12-7.2",
                    (
                        "bpf_task_work pointer in R2 map_uid={number} doesn't match map pointer in R3 map_uid={id}"
                    ): "7.2",
                    (
                        "{name} pointer in {arg} map_uid={number} doesn't match map pointer in {arg2} map_uid={id}"
                    ): "7.3",
                },
                reason="The field lies in a value of another map than the one that is passed.",
                suggestion="Pass the map that the value was looked up in.",
            ),
            KernelMessage(
                rule="map-no-btf",
                wordings={"map '{name}' has to have BTF in order to use {what}": "7.2-7.3"},
                reason="Without BTF of its value the kernel does not know where the {what} in map {name} is.",
                suggestion="Declare the map with __type(key, ...) and __type(value, ...), and compile with -g.",
            ),
        ),
        CauseClass.SOURCE,
        "the message names the kind of map",
    ),
    MessageGroup(
        Category.CALL,
        "Special field expected",
        (
            KernelMessage(
                rule="map-no-field",
                wordings={
                    "map '{name}' doesn't have 'struct {func}'": "5.10-6.1",
                    "map '{name}' has more than one 'struct {func}'": "5.10-6.1",
                    "map '{name}' is not a struct type or {func} is mangled": "5.10-6.1",
                    "{what} '{name}' has no valid {func}": "6.1-7.3",
                    "{arg} has no valid kptr": "6.12-7.3",
                },
                reason="What the pointer points into has no field of the kind that the helper works on.",
                suggestion="Add the field to the map's value, or pass a value of the right map.",
            ),
            KernelMessage(
                rule="field-offset",
                wordings={
                    "off {off} doesn't point to 'struct {name}'": "5.10-6.1",
                    "off {off} doesn't point to 'struct {name}' that is at {number}": "6.1-7.3",
                    "off={off} doesn't point to kptr": "6.1-7.3",
                    "off={off} kptr isn't referenced kptr": "6.1-7.3",
                    "{name} not found at offset={off}": "6.12-7.3",
                },
                reason="At offset {off} of the value there is no field that the function could work on.",
                suggestion="Pass the address of the field itself.",
            ),
            KernelMessage(
                rule="field-variable",
                wordings={
                    "{arg} doesn't have constant offset. {what} has to be at the constant offset": "6.1-7.3",
                    "{what} has to be at a constant offset": "6.12-7.3",
                },
                reason="The offset of the {what} is not known when the program is loaded.",
                suggestion="Pass the address of the field at a constant offset.",
                follow=Follow.REGISTER,
            ),
        ),
    ),
)
