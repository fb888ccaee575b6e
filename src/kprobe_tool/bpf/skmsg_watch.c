/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at every sk_msg on its way: before the verdict program sees it, in the kTLS send path, and after a program
 * has pushed, popped or pulled data. Read only. native/programs/skmsg_watch.py declares the events.
 *
 * With FENTRY the programs are fentry and fexit ones, named as bcc wants them, else kprobes and kretprobes.
 */
#include <live.h>
#include <sk_msg.h>
#include <uapi/linux/ptrace.h>

/* linux/socket.h */
#define AF_INET 2
#define AF_INET6 10

enum hook { VERDICT, TLS, PUSH, POP, PULL, HOOKS };

/* What the options let through; 0 is any, and without all only messages with an exposed element. */
struct settings {
	u32 pid;
	u32 netns;
	u32 port;
	u32 all;
};

/* As much of list.element as there is of it. Ports are the host's, addresses the network's. */
struct event {
	u64 time;
	u32 pid;
	u32 netns;
	u8 saddr[16];
	u8 daddr[16];
	u16 sport;
	u16 dport;
	u16 family;
	u16 hook;
	char comm[16];
	struct sg_list list;
};

BPF_RINGBUF_OUTPUT(events, RING_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(settings, struct settings, 1);
/*
 * One for each hook: an fentry program can be preempted, and then another one may run on this CPU, but never the same
 * (the kernel keeps a program from nesting in itself).
 */
BPF_PERCPU_ARRAY(scratch, struct event, HOOKS);

static __always_inline void count(u32 which)
{
	u64 *value = counters.lookup(&which);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline void read_socket(struct event *event, u64 sk)
{
	u64 net;
	u32 saddr = 0, daddr = 0;
	u16 dport;

	READ(event->family, sk, SOCK_FAMILY);
	READ(event->sport, sk, SOCK_NUM);
	READ(dport, sk, SOCK_DPORT);
	event->dport = __builtin_bswap16(dport);
	READ(net, sk, SOCK_NET);
	READ(event->netns, net, NET_INUM);
#ifdef SOCK_V6_DADDR_OFFSET
	if (event->family == AF_INET6) {
		READ(event->saddr, sk, SOCK_V6_RCV_SADDR);
		READ(event->daddr, sk, SOCK_V6_DADDR);
		return;
	}
#endif
	READ(saddr, sk, SOCK_RCV_SADDR);
	READ(daddr, sk, SOCK_DADDR);
	__builtin_memset(event->saddr, 0, sizeof(event->saddr) + sizeof(event->daddr));
	__builtin_memcpy(event->saddr, &saddr, sizeof(saddr));
	__builtin_memcpy(event->daddr, &daddr, sizeof(daddr));
}

static __always_inline bool wanted(const struct settings *only, const struct event *event)
{
	return (!only->pid || only->pid == event->pid) && (!only->netns || only->netns == event->netns) &&
	       (!only->port || only->port == event->sport || only->port == event->dport);
}

static __always_inline int look(u32 hook, u64 msg, u64 sk)
{
	int zero = 0;
	struct settings *only = settings.lookup(&zero);
	struct event *event = scratch.lookup(&hook);
	u64 length;

	if (!only || !event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	read_socket(event, sk);
	if (!wanted(only, event)) {
		count(FILTERED);
		return 0;
	}
	sg_list_read(&event->list, (void *)msg);
	if (!only->all && !event->list.exposed) {
		count(FILTERED);
		return 0;
	}
	count(SEEN);
	event->time = bpf_ktime_get_ns();
	event->hook = hook;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	length = sizeof(*event) - sizeof(event->list) + SG_LIST_LENGTH(&event->list);
	if (length > sizeof(*event))
		length = sizeof(*event);
	count(events.ringbuf_output(event, length, 0) ? DROPPED : EMITTED);
	return 0;
}

static __always_inline u64 sk_of(u64 msg)
{
	u64 sk;

	READ(sk, msg, SK_MSG_SK);
	return sk;
}

#ifdef FENTRY

/* bcc's macros, since what the functions have to be called differs between its releases. */

KFUNC_PROBE(sk_psock_msg_verdict, u64 sk, u64 psock, u64 msg)
{
	return look(VERDICT, msg, sk);
}

KFUNC_PROBE(bpf_exec_tx_verdict, u64 msg, u64 sk)
{
	return look(TLS, msg, sk);
}

KRETFUNC_PROBE(bpf_msg_push_data, u64 msg)
{
	return look(PUSH, msg, sk_of(msg));
}

KRETFUNC_PROBE(bpf_msg_pop_data, u64 msg)
{
	return look(POP, msg, sk_of(msg));
}

KRETFUNC_PROBE(bpf_msg_pull_data, u64 msg)
{
	return look(PULL, msg, sk_of(msg));
}

#else

struct call {
	u64 msg;
	u32 hook;
	u32 unused;
};

/* By thread: these functions do not nest. */
BPF_HASH(calls, u64, struct call);

static __always_inline int enter(u32 hook, u64 msg)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call call = { .msg = msg, .hook = hook };

	if (calls.update(&thread, &call))
		count(MISSED);
	return 0;
}

int sk_psock_msg_verdict_entry(struct pt_regs *ctx)
{
	return look(VERDICT, PT_REGS_PARM3(ctx), PT_REGS_PARM1(ctx));
}

int bpf_exec_tx_verdict_entry(struct pt_regs *ctx)
{
	return look(TLS, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx));
}

int bpf_msg_push_data_entry(struct pt_regs *ctx)
{
	return enter(PUSH, PT_REGS_PARM1(ctx));
}

int bpf_msg_pop_data_entry(struct pt_regs *ctx)
{
	return enter(POP, PT_REGS_PARM1(ctx));
}

int bpf_msg_pull_data_entry(struct pt_regs *ctx)
{
	return enter(PULL, PT_REGS_PARM1(ctx));
}

int on_return(struct pt_regs *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *call = calls.lookup(&thread);
	u32 hook;
	u64 msg;

	if (!call)
		return 0;
	hook = call->hook;
	msg = call->msg;
	calls.delete(&thread);
	return look(hook, msg, sk_of(msg));
}

#endif
