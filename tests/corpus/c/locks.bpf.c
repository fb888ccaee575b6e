// SPDX-License-Identifier: GPL-2.0-or-later
#include "corpus.h"

struct value {
	struct bpf_spin_lock lock;
	int counter;
};

struct {
	UINT(type, ARRAY);
	UINT(max_entries, 2);
	TYPE(key, u32);
	TYPE(value, struct value);
} values SEC(".maps");

static struct value *value_of(u32 key)
{
	return bpf_map_lookup_elem(&values, &key);
}

SEC("tc")
int lock_taken_twice(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->counter++;
	bpf_spin_lock(&value->lock);
	bpf_spin_unlock(&value->lock);
	return 0;
}

SEC("tc")
int unlock_without_lock(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (value)
		bpf_spin_unlock(&value->lock);
	return 0;
}

SEC("tc")
int unlock_of_other_lock(struct __sk_buff *skb)
{
	struct value *one = value_of(0), *other = value_of(skb->len);

	if (!one || !other)
		return 0;
	bpf_spin_lock(&one->lock);
	bpf_spin_unlock(&other->lock);
	return 0;
}

SEC("tc")
int lock_left_on_one_path(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	if (value->counter > 9)
		return 1;
	value->counter++;
	bpf_spin_unlock(&value->lock);
	return 0;
}

SEC("tc")
int helper_under_lock(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->counter = bpf_get_prandom_u32();
	bpf_spin_unlock(&value->lock);
	return 0;
}

NOINLINE int counted(u32 by)
{
	return by + 1;
}

SEC("tc")
int global_function_under_lock(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->counter = counted(skb->len);
	bpf_spin_unlock(&value->lock);
	return 0;
}

SEC("tc")
int lock_accessed_directly(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (value)
		value->lock.val = 0;
	return 0;
}

SEC("tc")
int lock_is_elsewhere(struct __sk_buff *skb)
{
	struct value *value = value_of(0);

	if (value)
		bpf_spin_lock((struct bpf_spin_lock *)&value->counter);
	return 0;
}

SEC("kprobe/do_exit")
int lock_in_tracing(void *ctx)
{
	struct value *value = value_of(0);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	bpf_spin_unlock(&value->lock);
	return 0;
}
