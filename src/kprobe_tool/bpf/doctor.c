/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The least that shows whether programs compile, load and attach here; it is on no socket. */
#include <kprobe_tool.h>

BPF_SOCKMAP(sockets, 1);

int on_message(struct sk_msg_md *msg)
{
	return SK_PASS;
}
