/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arch/x86/include/asm/ptrace.h: what a kprobe is given. */
#pragma once

#ifdef MACHINE_x86_64
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif
