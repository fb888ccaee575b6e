// SPDX-License-Identifier: GPL-2.0-or-later
/* Ways to reach what others have: maps in maps, the kernel's configuration, a program to be replaced. */
#include "corpus.h"

enum { ARRAY_OF_MAPS = 12 };

struct inner {
	UINT(type, ARRAY);
	UINT(max_entries, 4);
	UINT(pinning, LIBBPF_PIN_BY_NAME);
	TYPE(key, u32);
	TYPE(value, u32);
} pinned_inner SEC(".maps");

struct inner_of_outer {
	UINT(type, ARRAY);
	UINT(max_entries, 4);
	TYPE(key, u32);
	TYPE(value, u32);
};

struct {
	UINT(type, ARRAY_OF_MAPS);
	UINT(max_entries, 2);
	UINT(key_size, 4);
	UINT(pinning, LIBBPF_PIN_BY_NAME);
	struct inner_of_outer *values[];
} pinned_outer SEC(".maps") = {
	.values = {(void *)&pinned_inner},
};

extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
extern const void nf_conntrack_lock __attribute__((section(".ksyms"), weak));

SEC("tc")
int map_in_map(struct __sk_buff *skb)
{
	u32 key = 0, *value;
	void *map = bpf_map_lookup_elem(&pinned_outer, &key);

	if (!map)
		return 0;
	value = bpf_map_lookup_elem(map, &key);
	return value ? *value & 1 : 0;
}

SEC("tc")
int configuration(struct __sk_buff *skb)
{
	return LINUX_KERNEL_VERSION & 1;
}

SEC("tc")
int module_symbol(struct __sk_buff *skb)
{
	return &nf_conntrack_lock != 0;
}

SEC("freplace/in_slot")
int replacement(struct __sk_buff *skb)
{
	return 1;
}
