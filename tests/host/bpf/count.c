/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records the system call numbers of one process, and reads a field of the kernel's on the way. */
#include <kprobe_tool.h>

BPF_RINGBUF_OUTPUT(events, 16);
BPF_ARRAY(seen, u64, 1);

int on_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct {
		u64 number;
		u64 task_pid;
	} *event;
	u32 pid;
	int zero = 0;

	if (bpf_get_current_pid_tgid() >> 32 != PID)
		return 0;
	READ(pid, bpf_get_current_task(), TASK_TGID);
	seen.increment(zero);
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event)
		return 0;
	event->number = ctx->args[1];
	event->task_pid = pid;
	events.ringbuf_submit(event, 0);
	return 0;
}

int refused(struct bpf_raw_tracepoint_args *ctx)
{
	return *(int *)0;
}
