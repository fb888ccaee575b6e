/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdict of kprobe-tool skmsg check. It does what user space told it to do at each call, which moves elements of
 * the message about, and records what it was given before and after each step. It writes to no message.
 */
#include <kprobe_tool.h>
#include <sk_msg.h>

/* native/programs/skmsg_check.py has the same numbers and structures. */
#define CALLS 4
#define STEPS 2

enum step_kind { STEP_NONE, STEP_PUSH, STEP_POP, STEP_PULL, STEP_APPLY, STEP_CORK };

struct step {
	u32 kind;
	u32 start;
	u32 length;
};

/* What to do when the program is called for the nth time. */
struct plan {
	u32 verdict;
	struct step step[STEPS];
};

/* after is the number of steps done in this call, error what the last of them returned. */
struct record {
	u32 call;
	u32 after;
	s32 error;
	u32 size;
	u32 length;
	u32 page_offset;
	struct sg_list list;
};

BPF_ARRAY(plans, struct plan, CALLS);
BPF_ARRAY(calls, u32, 1);
BPF_RINGBUF_OUTPUT(records, 16);
BPF_SOCKMAP(sockets, 1);

static __always_inline void keep(struct sk_msg_md *msg, u32 call, u32 after, s32 error)
{
	struct record *record = records.ringbuf_reserve(sizeof(*record));
	u64 data;

	if (!record)
		return;
	record->call = call;
	record->after = after;
	record->error = error;
	record->size = msg->size;
	/* The range that a program may write to. */
	record->length = (u64)msg->data_end - (u64)msg->data;
	READ(data, msg, SK_MSG_DATA);
	record->page_offset = data & (PAGE_SIZE - 1);
	sg_list_read(&record->list, msg);
	records.ringbuf_submit(record, 0);
}

static __always_inline s32 take(struct sk_msg_md *msg, const struct step *step)
{
	switch (step->kind) {
	case STEP_PUSH:
		return bpf_msg_push_data(msg, step->start, step->length, 0);
	case STEP_POP:
		return bpf_msg_pop_data(msg, step->start, step->length, 0);
	case STEP_PULL:
		return bpf_msg_pull_data(msg, step->start, step->start + step->length, 0);
	case STEP_APPLY:
		return bpf_msg_apply_bytes(msg, step->length);
	case STEP_CORK:
		return bpf_msg_cork_bytes(msg, step->length);
	}
	return 0;
}

int on_message(struct sk_msg_md *msg)
{
	int zero = 0;
	u32 *calls_so_far = calls.lookup(&zero);
	struct plan *plan;
	u32 call;

	if (!calls_so_far)
		return SK_DROP;
	call = *calls_so_far;
	*calls_so_far = call + 1;
	keep(msg, call, 0, 0);
	plan = plans.lookup(&call);
	if (!plan)
		return SK_DROP;
	NO_UNROLL
	for (u32 n = 0; n < STEPS; n++) {
		if (plan->step[n].kind == STEP_NONE)
			break;
		keep(msg, call, n + 1, take(msg, &plan->step[n]));
	}
	return plan->verdict;
}
