/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least that shows whether programs compile, load and attach here. None is on a socket, and what they are attached
 * to for a moment is called by nobody, or makes no difference to who calls it.
 */
#include <kprobe_tool.h>

BPF_SOCKMAP(sockets, 1);

int on_message(struct sk_msg_md *msg)
{
	return SK_PASS;
}

int at_syscall(void *ctx)
{
	return 0;
}

int at_function(void *ctx)
{
	return 0;
}

#ifdef KFUNC_PROBE
KFUNC_PROBE(bpf_fentry_test1, int value)
{
	return 0;
}
#endif
