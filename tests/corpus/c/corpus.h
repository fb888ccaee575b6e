/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the programs of the corpus need of the kernel and of libbpf's headers, which need not be installed. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
#define KSYM extern __attribute__((weak, section(".ksyms")))
#define KERNEL __attribute__((preserve_access_index))
#define TAG(name) __attribute__((btf_decl_tag(name)))
#define CONTAINS(type, member) TAG("contains:" #type ":" #member)

/* The way in which libbpf reads numbers and types of a map from BTF. */
#define UINT(name, value) int(*name)[value]
#define TYPE(name, type) typeof(type) *name

enum { HASH = 1, ARRAY = 2, PROG_ARRAY = 3, RINGBUF = 27, USER_RINGBUF = 31, ARENA = 33 };
enum { LIBBPF_PIN_BY_NAME = 1 };

struct bpf_spin_lock {
	u32 val;
};

struct bpf_res_spin_lock {
	u32 val;
};

struct bpf_timer {
	u64 opaque[2];
};

struct bpf_dynptr {
	u64 opaque[2];
};

struct bpf_list_head {
	u64 opaque[2];
};

struct bpf_list_node {
	u64 opaque[3];
};

struct bpf_rb_root {
	u64 opaque[2];
};

struct bpf_rb_node {
	u64 opaque[4];
};

struct bpf_refcount {
	u32 opaque[1];
};

struct task_struct {
	int pid;
	struct task_struct *last_wakee;
} KERNEL;

struct xdp_md {
	u32 data;
	u32 data_end;
};

struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_tail_call)(void *context, void *map, u32 index) = (void *)12;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static void *(*const bpf_this_cpu_ptr)(const void *percpu) = (void *)154;
static long (*const bpf_trace_printk)(const char *format, u32 size, ...) = (void *)6;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*const bpf_copy_from_user)(void *dst, u32 size, const void *user_ptr) = (void *)148;
static void *(*const bpf_ringbuf_reserve)(void *ringbuf, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;
static long (*const bpf_snprintf)(char *str, u32 size, const char *fmt, u64 *data, u32 len) = (void *)165;
static long (*const bpf_loop)(u32 nr, void *callback, void *ctx, u64 flags) = (void *)181;
static long (*const bpf_strncmp)(const char *s1, u32 size, const char *s2) = (void *)182;
static long (*const bpf_dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;
static void (*const bpf_ringbuf_submit_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)199;
static long (*const bpf_dynptr_read)(void *dst, u32 len, const struct bpf_dynptr *src, u32 off, u64 flags) = (void *)201;
static void *(*const bpf_dynptr_data)(const struct bpf_dynptr *ptr, u32 off, u32 len) = (void *)203;
static long (*const bpf_user_ringbuf_drain)(void *map, void *callback, void *ctx, u64 flags) = (void *)209;
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;

char _license[] SEC("license") = "GPL";
