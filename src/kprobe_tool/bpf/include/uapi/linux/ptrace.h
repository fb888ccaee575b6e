/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arch/MACHINE/include/asm/ptrace.h: what a kprobe is given. */
#pragma once

#ifdef MACHINE_x86_64
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif

#ifdef MACHINE_aarch64
/* Its beginning, which is alike in v5.10 to v7.3. */
struct pt_regs {
	unsigned long regs[31], sp, pc, pstate, orig_x0;
	int syscallno;
};
#endif
