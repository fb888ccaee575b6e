/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every program here starts with.
 *
 * The kernel's structures are not declared: NAME_OFFSET and NAME_SIZE of each field come from the running kernel's BTF,
 * on the command line.
 */
#pragma once
#include <linux/types.h>

/*
 * BPF_FUNC_probe_read_kernel (linux/bpf.h, Linux v5.5), by its number: bcc turns its own name for it into that of
 * bpf_probe_read() where the user is not root, whatever the capabilities, and sk_msg programs may not call that one.
 */
static long (*const read_kernel)(void *dst, __u32 size, const void *from) = (void *)113;

/* Reads a field of the kernel structure at ptr; a field that has become wider or narrower does not compile. */
#define READ(dst, ptr, field)                                                                                          \
	({                                                                                                             \
		_Static_assert(sizeof(dst) == field##_SIZE, #field " has another size in this kernel");                 \
		read_kernel(&(dst), sizeof(dst), (const char *)(ptr) + field##_OFFSET);                                 \
	})

/* LLVM unrolls a loop of a known length, which costs more to compile than the kernel takes to verify it. */
#define NO_UNROLL _Pragma("clang loop unroll(disable)")
