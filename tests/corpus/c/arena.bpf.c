// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that a program shares with a process, at an address that the object chooses; and pinned, on top of it. */
#include "corpus.h"

enum { BPF_F_MMAPABLE = 1 << 10 };

struct {
	UINT(type, ARENA);
	UINT(map_flags, BPF_F_MMAPABLE);
	UINT(max_entries, 4);
	UINT(pinning, LIBBPF_PIN_BY_NAME);
	UINT(map_extra, 0x70000000);
} pinned_arena SEC(".maps");

KSYM void *bpf_arena_alloc_pages(void *map, void *address, u32 count, int node, u64 flags);

SEC("syscall")
int allocates(void *context)
{
	return bpf_arena_alloc_pages(&pinned_arena, 0, 1, -1, 0) != 0;
}
