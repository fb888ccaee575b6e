// SPDX-License-Identifier: GPL-2.0-or-later
/* A congestion control, which the kernel would have from then on if it were attached. */
#include "corpus.h"

struct sock;

struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	char name[16];
};

SEC("struct_ops/ssthresh")
int BPF_ssthresh(unsigned long long *ctx)
{
	return 2;
}

SEC("struct_ops/undo_cwnd")
int BPF_undo_cwnd(unsigned long long *ctx)
{
	return 2;
}

SEC("struct_ops/cong_avoid")
int BPF_cong_avoid(unsigned long long *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct tcp_congestion_ops kprobe_tool_cc = {
	.ssthresh = (void *)BPF_ssthresh,
	.undo_cwnd = (void *)BPF_undo_cwnd,
	.cong_avoid = (void *)BPF_cong_avoid,
	.name = "kprobe_tool_cc",
};
