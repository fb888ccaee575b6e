/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For bcc: a program that the verifier rejects, and one that it accepts. */
BPF_HASH(seen, u64, u64);

int unchecked(struct pt_regs *ctx)
{
	u64 key = 0;
	u64 *value = seen.lookup(&key);

	return *value;
}

int kprobe__fine(struct pt_regs *ctx)
{
	return 0;
}
