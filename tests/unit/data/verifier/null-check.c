#include <linux/bpf.h>
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, int); __type(value, long); } counts SEC(".maps");
SEC("socket")
int count(void *ctx)
{
	int key = 1;
	long *value = bpf_map_lookup_elem(&counts, &key);

	*value += 1;
	return 0;
}
char _license[] SEC("license") = "GPL";
