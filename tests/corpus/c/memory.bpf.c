// SPDX-License-Identifier: GPL-2.0-or-later
#include "corpus.h"

struct event {
	u32 pid;
	u32 kind;
	char name[16];
};

struct {
	UINT(type, ARRAY);
	UINT(max_entries, 4);
	TYPE(key, u32);
	TYPE(value, struct event);
} events SEC(".maps");

struct {
	UINT(type, RINGBUF);
	UINT(max_entries, 4096);
} ring SEC(".maps");

const volatile char constant[8] = "hello";
char writable[8] = "hello";
int table[8];

SEC("tc")
int lookup_not_checked(struct __sk_buff *skb)
{
	u32 key = skb->len;
	struct event *event = bpf_map_lookup_elem(&events, &key);

	event->pid = 1;
	return 0;
}

SEC("tc")
int index_not_checked(struct __sk_buff *skb)
{
	u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&events, &key);

	if (!event)
		return 0;
	return event->name[skb->len];
}

SEC("tc")
int index_off_by_one(struct __sk_buff *skb)
{
	u32 index = skb->len;

	if (index > 8)
		return 0;
	return table[index];
}

SEC("tc")
int index_checked_as_signed(struct __sk_buff *skb)
{
	s64 index = (s32)skb->mark;
	u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&events, &key);

	if (!event || index >= 16)
		return 0;
	return event->name[index];
}

SEC("xdp")
int header_not_checked(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data;

	return data[12] == 8 ? 2 : 1;
}

SEC("xdp")
int header_checked_too_short(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 14 > end)
		return 1;
	return data[14] == 0x45 ? 2 : 1;
}

SEC("xdp")
int loop_over_packet(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 sum = 0;

	for (u32 i = 0; i < 40; i++) {
		if (data + i > end)
			break;
		sum += data[i];
	}
	return sum & 1;
}

SEC("tc")
int sample_not_submitted(struct __sk_buff *skb)
{
	struct event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);

	if (!event)
		return 0;
	event->pid = skb->len;
	if (skb->mark == 7)
		return 1;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tc")
int sample_used_after_submit(struct __sk_buff *skb)
{
	struct event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);

	if (!event)
		return 0;
	event->pid = skb->len;
	bpf_ringbuf_submit(event, 0);
	event->kind = 1;
	return 0;
}

SEC("tc")
int read_only_data_written(struct __sk_buff *skb)
{
	*(volatile char *)&constant[0] = skb->len;
	return 0;
}

SEC("tc")
int string_not_constant(struct __sk_buff *skb)
{
	char name[8] = "hello";

	return bpf_strncmp(name, sizeof(name), writable);
}

SEC("tc")
int format_not_known(struct __sk_buff *skb)
{
	static const char format[] = "%z";
	char out[8];
	u64 arguments[1] = {skb->len};

	return bpf_snprintf(out, sizeof(out), format, arguments, sizeof(arguments));
}

SEC("tc")
int stack_read_by_variable(struct __sk_buff *skb)
{
	volatile u64 big[63];

	for (int i = 0; i < 63; i++)
		big[i] = skb->len;
	return big[skb->mark & 127];
}

SEC("tc")
int context_field_wanted(struct __sk_buff *skb)
{
	return *(u32 *)((void *)skb + 4096);
}

SEC("tc")
int bounds_lost_by_copy(struct __sk_buff *skb)
{
	u64 wide = skb->mark;
	u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&events, &key);

	if (!event)
		return 0;
	wide = wide << 16 | skb->len;
	if ((u32)wide < 16)
		return event->name[wide];
	return 0;
}

NOINLINE int global_reads(struct event *event)
{
	return event->pid;
}

SEC("tc")
int global_argument_may_be_null(struct __sk_buff *skb)
{
	u32 key = skb->len;

	return global_reads(bpf_map_lookup_elem(&events, &key));
}

static long callback(u32 index, void *context)
{
	return table[index];
}

SEC("tc")
int index_of_callback(struct __sk_buff *skb)
{
	bpf_loop(8, callback, 0, 0);
	return 0;
}

NOINLINE int global_pointer(int *where)
{
	return where ? *where : 0;
}

SEC("tc")
int global_argument_wrong(struct __sk_buff *skb)
{
	return global_pointer((int *)(long)skb->len);
}

NOINLINE int limited(u32 value)
{
	volatile u64 local[2] = {value};

	return value > 7 ? local[0] : table[value & 63];
}

SEC("tc")
int index_checked_on_copy(struct __sk_buff *skb)
{
	return limited(skb->mark);
}

struct bpf_iter_num {
	u64 opaque[1];
} __attribute__((aligned(8)));

KSYM int bpf_iter_num_new(struct bpf_iter_num *iterator, int start, int end);
KSYM int *bpf_iter_num_next(struct bpf_iter_num *iterator);
KSYM void bpf_iter_num_destroy(struct bpf_iter_num *iterator);

SEC("tc")
int counted_in_loop(struct __sk_buff *skb)
{
	struct bpf_iter_num iterator;
	u64 count = 0;

	bpf_iter_num_new(&iterator, 0, 4);
	while (bpf_iter_num_next(&iterator))
		count++;
	bpf_iter_num_destroy(&iterator);
	return table[count];
}

NOINLINE int table_at(u32 index)
{
	return table[index];
}

SEC("tc")
int global_argument_unbounded(struct __sk_buff *skb)
{
	return skb->mark < 4 ? table_at(skb->mark) : 0;
}
