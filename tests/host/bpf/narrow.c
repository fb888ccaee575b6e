/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <kprobe_tool.h>
int narrow(struct bpf_raw_tracepoint_args *ctx)
{
	u16 pid;
	READ(pid, bpf_get_current_task(), TASK_TGID);
	return pid;
}
