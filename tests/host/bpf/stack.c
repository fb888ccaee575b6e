/* SPDX-License-Identifier: GPL-2.0-or-later */
/* More stack than BPF has, for which LLVM ends the process. */

int more_than_512(void *ctx)
{
	volatile char bytes[3000];

	for (int i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	return bytes[3];
}
