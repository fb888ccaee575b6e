// SPDX-License-Identifier: GPL-2.0-or-later
/* bpf_trace_printk(), for whose programs the kernel switches a trace event on as they are loaded. */
#include "corpus.h"

SEC("tc")
int prints(struct __sk_buff *skb)
{
	char words[] = "mark %u\n";

	bpf_trace_printk(words, sizeof(words), skb->mark);
	return 0;
}
