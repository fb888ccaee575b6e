/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a machine keeps the arguments of bpf(2) and of a kernel function with a format and arguments for it.
 *
 * ``at`` are registers that the program has yet to read from the kernel's memory, ``regs`` those that it was given.
 *
 * REGISTERS is how many arguments of a format are in registers; the others are on the stack.
 */
#pragma once
#include <kprobe_tool.h>
#include <uapi/linux/ptrace.h>

/* How many arguments of bpf(2) are read: command, attributes, their size; the same of the common ones. */
#define CALL_ARGUMENTS 5

#ifdef MACHINE_x86_64
#define NR_BPF 321
#define NR_BPF_COMPAT 357
#define REGISTERS 4
#define TS_COMPAT 2

static inline int is_compat(const struct pt_regs *at)
{
	u32 status = 0;

	READ(status, bpf_get_current_task(), TASK_STATUS);
	return !!(status & TS_COMPAT);
}

static inline u64 call_number(const struct pt_regs *at)
{
	u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &at->orig_ax);
	return number;
}

static inline void read_call(const struct pt_regs *at, int compat, u64 arguments[CALL_ARGUMENTS])
{
	struct pt_regs regs;

	bpf_probe_read_kernel(&regs, sizeof(regs), at);
	arguments[0] = compat ? regs.bx : regs.di;
	arguments[1] = compat ? (u32)regs.cx : regs.si;
	arguments[2] = regs.dx;
	arguments[3] = compat ? (u32)regs.si : regs.r10;
	arguments[4] = compat ? regs.di : regs.r8;
}

static inline u64 format_of(const struct pt_regs *regs)
{
	return regs->si;
}

/* The words on the stack are behind the return address. */
static inline u64 read_format_registers(const struct pt_regs *regs, u64 arguments[REGISTERS])
{
	arguments[0] = regs->dx;
	arguments[1] = regs->cx;
	arguments[2] = regs->r8;
	arguments[3] = regs->r9;
	return regs->sp + sizeof(u64);
}
#endif

#ifdef MACHINE_aarch64
#define NR_BPF 280
#define NR_BPF_COMPAT 386
#define REGISTERS 6
#define PSR_MODE32_BIT 0x10

static inline int is_compat(const struct pt_regs *at)
{
	u64 pstate = 0;

	bpf_probe_read_kernel(&pstate, sizeof(pstate), &at->pstate);
	return !!(pstate & PSR_MODE32_BIT);
}

static inline u64 call_number(const struct pt_regs *at)
{
	u32 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &at->syscallno);
	return number;
}

/* Not all registers, which a program's stack has no room for. The first one holds the result once there is one. */
static inline void read_call(const struct pt_regs *at, int compat, u64 arguments[CALL_ARGUMENTS])
{
	bpf_probe_read_kernel(arguments, CALL_ARGUMENTS * sizeof(u64), at->regs);
	bpf_probe_read_kernel(&arguments[0], sizeof(u64), &at->orig_x0);
	if (compat) {
		arguments[1] = (u32)arguments[1];
		arguments[3] = (u32)arguments[3];
	}
}

static inline u64 format_of(const struct pt_regs *regs)
{
	return regs->regs[1];
}

static inline u64 read_format_registers(const struct pt_regs *regs, u64 arguments[REGISTERS])
{
	arguments[0] = regs->regs[2];
	arguments[1] = regs->regs[3];
	arguments[2] = regs->regs[4];
	arguments[3] = regs->regs[5];
	arguments[4] = regs->regs[6];
	arguments[5] = regs->regs[7];
	return regs->sp;
}
#endif
