// SPDX-License-Identifier: GPL-2.0-or-later
/* Five programs: for every kernel, from 5.17 on, from 6.2 on, from 6.6 on, and for none. */
#include "corpus.h"

KSYM struct task_struct *bpf_task_from_pid(s32 pid);
KSYM void bpf_task_release(struct task_struct *task);

struct {
	UINT(type, ARRAY);
	UINT(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, u64);
} counters SEC(".maps");

SEC("tc")
int for_all(struct __sk_buff *skb)
{
	u32 key = 0;
	u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += skb->len;
	return 0;
}

static long step(u32 index, void *context)
{
	*(u64 *)context += index;
	return 0;
}

SEC("tc")
int calls_back(struct __sk_buff *skb)
{
	u64 sum = 0;

	bpf_loop(10, step, &sum, 0);
	return sum > 100;
}

SEC("syscall")
int finds_task(void *context)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task)
		bpf_task_release(task);
	return 0;
}

SEC("tc")
int extends_sign(struct __sk_buff *skb)
{
	/* r1 = (s32)r1, of -mcpu=v4: this clang may be too old to know it. */
	asm volatile("r1 = 7; .byte 0xbf, 0x11, 0x20, 0x00, 0, 0, 0, 0" : : : "r1");
	return 0;
}

SEC("tc")
int for_none(struct __sk_buff *skb)
{
	u32 key = skb->len;
	u64 *counter = bpf_map_lookup_elem(&counters, &key);

	*counter += 1;
	return 0;
}
