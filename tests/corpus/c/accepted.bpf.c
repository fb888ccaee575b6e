// SPDX-License-Identifier: GPL-2.0-or-later
#include "corpus.h"

int table[64];

static NOINLINE int summed(u32 from)
{
	volatile u64 local[4] = {from};
	int sum = local[from & 3];

	for (u32 i = 0; i < 16; i++)
		sum += table[(from + i) & 63];
	return sum;
}

NOINLINE int checked_once(u32 value)
{
	volatile u64 local[2] = {value};

	return value > 7 ? 7 : (int)local[1];
}

static long called_back(u32 index, int *sum)
{
	*sum += table[index & 63];
	return 0;
}

SEC("tc")
int accepted_with_functions(struct __sk_buff *skb)
{
	int sum = 0;

	bpf_loop(8, called_back, &sum, 0);
	return summed(skb->len) + checked_once(skb->mark) + sum;
}

SEC("tc")
int accepted_with_branches(struct __sk_buff *skb)
{
	u32 mark = skb->mark, sum = 0;

	for (u32 i = 0; i < 8; i++) {
		if (mark & 1 << i)
			sum += table[i];
		else
			sum ^= table[63 - i];
	}
	return sum & 1;
}
