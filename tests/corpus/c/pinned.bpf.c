// SPDX-License-Identifier: GPL-2.0-or-later
/* Maps that libbpf would pin, or take from where they are pinned, and fill. */
#include "corpus.h"

int in_slot(struct __sk_buff *skb);

struct {
	UINT(type, HASH);
	UINT(max_entries, 4);
	UINT(pinning, LIBBPF_PIN_BY_NAME);
	TYPE(key, u32);
	TYPE(value, u32);
} pinned_hash SEC(".maps");

struct {
	UINT(type, PROG_ARRAY);
	UINT(max_entries, 4);
	UINT(key_size, 4);
	UINT(pinning, LIBBPF_PIN_BY_NAME);
	int (*values[])(struct __sk_buff *);
} pinned_jumps SEC(".maps") = {
	.values = {in_slot},
};

SEC("tc")
int in_slot(struct __sk_buff *skb)
{
	u32 key = 0, *value = bpf_map_lookup_elem(&pinned_hash, &key);

	return value ? *value & 1 : 0;
}

SEC("tc")
int jumps(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &pinned_jumps, 0);
	return 0;
}
