// SPDX-License-Identifier: GPL-2.0-or-later
#include "corpus.h"


KSYM int bpf_res_spin_lock(struct bpf_res_spin_lock *lock);
KSYM void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock);
KSYM int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, unsigned long *flags);
KSYM void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, unsigned long *flags);
KSYM void bpf_local_irq_save(unsigned long *flags);
KSYM void bpf_local_irq_restore(unsigned long *flags);

static void *value_of(void *map)
{
	u32 key = 0;

	return bpf_map_lookup_elem(map, &key);
}

struct outer {
	struct bpf_res_spin_lock lock;
};

struct {
	UINT(type, ARRAY);
	UINT(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct outer);
} one SEC(".maps"), two SEC(".maps");

SEC("tc")
int res_lock_taken_twice(struct __sk_buff *skb)
{
	struct outer *value = value_of(&one);

	if (!value || bpf_res_spin_lock(&value->lock))
		return 0;
	if (!bpf_res_spin_lock(&value->lock))
		bpf_res_spin_unlock(&value->lock);
	bpf_res_spin_unlock(&value->lock);
	return 0;
}

SEC("tc")
int res_unlock_out_of_order(struct __sk_buff *skb)
{
	struct outer *first = value_of(&one), *second = value_of(&two);

	if (!first || !second || bpf_res_spin_lock(&first->lock))
		return 0;
	if (bpf_res_spin_lock(&second->lock)) {
		bpf_res_spin_unlock(&first->lock);
		return 0;
	}
	bpf_res_spin_unlock(&first->lock);
	bpf_res_spin_unlock(&second->lock);
	return 0;
}

SEC("tc")
int res_unlock_without_lock(struct __sk_buff *skb)
{
	struct outer *value = value_of(&one);

	if (value)
		bpf_res_spin_unlock(&value->lock);
	return 0;
}

SEC("tc")
int res_unlock_of_other_lock(struct __sk_buff *skb)
{
	struct outer *first = value_of(&one), *second = value_of(&two);

	if (!first || !second || bpf_res_spin_lock(&first->lock))
		return 0;
	bpf_res_spin_unlock(&second->lock);
	return 0;
}

SEC("tc")
int irq_flag_of_other_kind(struct __sk_buff *skb)
{
	struct outer *value = value_of(&one);
	unsigned long flags, of_lock;

	if (!value)
		return 0;
	bpf_local_irq_save(&flags);
	if (bpf_res_spin_lock_irqsave(&value->lock, &of_lock)) {
		bpf_local_irq_restore(&flags);
		return 0;
	}
	bpf_res_spin_unlock_irqrestore(&value->lock, &flags);
	bpf_local_irq_restore(&of_lock);
	return 0;
}
