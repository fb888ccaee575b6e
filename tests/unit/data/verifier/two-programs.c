// SPDX-License-Identifier: GPL-2.0-or-later
/* Two programs in one object: clang -g -O2 -target bpf -c two-programs.c -o two-programs.o */

struct context {
	unsigned int len, pkt_type, mark;
};

unsigned long long table[4];

__attribute__((section("tc"), used)) int first(struct context *context)
{
	return table[context->len];
}

__attribute__((section("tc"), used)) int second(struct context *context)
{
	return table[context->mark];
}

char _license[] __attribute__((section("license"), used)) = "GPL";
