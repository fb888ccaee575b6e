// SPDX-License-Identifier: GPL-2.0-or-later
#include "corpus.h"

struct node {
	struct bpf_rb_node tree;
	int key;
};

struct {
	UINT(type, USER_RINGBUF);
	UINT(max_entries, 4096);
} user SEC(".maps");

struct timed {
	struct bpf_timer timer;
	int counter;
};

struct {
	UINT(type, ARRAY);
	UINT(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct timed);
} timers SEC(".maps");

#define PRIVATE(name) SEC(".data." #name) __attribute__((aligned(8)))

PRIVATE(A) struct bpf_spin_lock guard;
PRIVATE(A) struct bpf_rb_root root CONTAINS(node, tree);

KSYM void *bpf_obj_new_impl(u64 type, void *meta);
KSYM void bpf_obj_drop_impl(void *object, void *meta);
KSYM int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			     _Bool (*less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, u64 off);
KSYM struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root);
KSYM void *bpf_refcount_acquire_impl(void *object, void *meta);
KSYM struct task_struct *bpf_task_from_pid(s32 pid);
KSYM struct task_struct *bpf_task_acquire(struct task_struct *task);
KSYM void bpf_task_release(struct task_struct *task);
KSYM void bpf_rcu_read_lock(void);
KSYM void bpf_rcu_read_unlock(void);
KSYM void bpf_throw(u64 cookie);
KSYM void *bpf_percpu_obj_new_impl(u64 type, void *meta);

static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return 0;
}

SEC("tc")
int object_leaked(struct __sk_buff *skb)
{
	struct node *node = bpf_obj_new_impl(__builtin_btf_type_id(*(struct node *)0, 0), 0);

	if (!node)
		return 0;
	node->key = 1;
	return 0;
}

SEC("tc")
int object_dropped_twice(struct __sk_buff *skb)
{
	struct node *node = bpf_obj_new_impl(__builtin_btf_type_id(*(struct node *)0, 0), 0);

	if (!node)
		return 0;
	bpf_obj_drop_impl(node, 0);
	bpf_obj_drop_impl(node, 0);
	return 0;
}

SEC("tc")
int object_dropped_in_tree(struct __sk_buff *skb)
{
	struct node *node = bpf_obj_new_impl(__builtin_btf_type_id(*(struct node *)0, 0), 0);

	if (!node)
		return 0;
	bpf_spin_lock(&guard);
	bpf_rbtree_add_impl(&root, &node->tree, less, 0, 0);
	bpf_obj_drop_impl(node, 0);
	bpf_spin_unlock(&guard);
	return 0;
}

SEC("tc")
int tree_without_lock(struct __sk_buff *skb)
{
	struct node *node = bpf_obj_new_impl(__builtin_btf_type_id(*(struct node *)0, 0), 0);

	if (!node)
		return 0;
	bpf_rbtree_add_impl(&root, &node->tree, less, 0, 0);
	return 0;
}

SEC("tc")
int node_used_after_unlock(struct __sk_buff *skb)
{
	struct node *node = bpf_obj_new_impl(__builtin_btf_type_id(*(struct node *)0, 0), 0);

	if (!node)
		return 0;
	bpf_spin_lock(&guard);
	bpf_rbtree_add_impl(&root, &node->tree, less, 0, 0);
	bpf_spin_unlock(&guard);
	return node->key;
}

SEC("tc")
int refcount_of_stack(struct __sk_buff *skb)
{
	u64 something = 0;

	return (long)bpf_refcount_acquire_impl(&something, 0);
}

static long released(struct bpf_dynptr *dynptr, void *context)
{
	bpf_ringbuf_submit_dynptr(dynptr, 0);
	return 0;
}

SEC("tc")
int constant_dynptr_released(struct __sk_buff *skb)
{
	bpf_user_ringbuf_drain(&user, released, 0, 0);
	return 0;
}

static int somewhere;

static long initialized(struct bpf_dynptr *dynptr, void *context)
{
	bpf_dynptr_from_mem(&somewhere, sizeof(somewhere), 0, dynptr);
	return 0;
}

SEC("tc")
int constant_dynptr_initialized(struct __sk_buff *skb)
{
	bpf_user_ringbuf_drain(&user, initialized, 0, 0);
	return 0;
}

SEC("tc")
int task_used_after_release(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);
	/* What is released twice, not what is used, is what the verifier sees. */

	if (!task)
		return 0;
	bpf_task_release(task);
	bpf_task_release(task);
	return 0;
}

SEC("tc")
int task_not_released_on_one_path(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(skb->mark);

	if (!task)
		return 0;
	if (skb->len > 100)
		return 1;
	bpf_task_release(task);
	return 0;
}

SEC("tp_btf/sched_switch")
int task_walked_to_untrusted(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];
	struct task_struct *task = bpf_task_acquire(prev->last_wakee);

	if (task)
		bpf_task_release(task);
	return 0;
}

NOINLINE int global_sleeps(void *where)
{
	u64 value;

	return bpf_copy_from_user(&value, sizeof(value), where);
}

SEC("syscall")
int sleepable_global_under_rcu(void *ctx)
{
	bpf_rcu_read_lock();
	global_sleeps((void *)0x1000);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tc")
int timer_of_other_place(struct __sk_buff *skb)
{
	u32 key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (timed)
		bpf_timer_init((struct bpf_timer *)&timed->counter, &timers, 1);
	return 0;
}

SEC("tc")
int thrown_under_rcu(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	if (skb->len)
		bpf_throw(1);
	bpf_rcu_read_unlock();
	return 0;
}

struct counters {
	u64 seen;
};

SEC("tc")
int percpu_object_dropped_as_one(struct __sk_buff *skb)
{
	struct counters *counters = bpf_percpu_obj_new_impl(__builtin_btf_type_id(*(struct counters *)0, 0), 0);

	if (counters)
		bpf_obj_drop_impl(counters, 0);
	return 0;
}

SEC("tc")
int percpu_pointer_wanted(struct __sk_buff *skb)
{
	struct counters *counters = bpf_obj_new_impl(__builtin_btf_type_id(*(struct counters *)0, 0), 0);
	struct counters *mine;

	if (!counters)
		return 0;
	mine = bpf_this_cpu_ptr(counters);
	mine->seen++;
	bpf_obj_drop_impl(counters, 0);
	return 0;
}

static int throws(u32 index, void *context)
{
	bpf_throw(index);
	return 0;
}

SEC("tc")
int thrown_in_callback(struct __sk_buff *skb)
{
	bpf_loop(4, throws, 0, 0);
	return 0;
}

SEC("tc")
int thrown_with_reference(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (!task)
		return 0;
	if (skb->len)
		bpf_throw(1);
	bpf_task_release(task);
	return 0;
}

NOINLINE int on_throw(u64 cookie)
{
	volatile int result = 0;

	return result;
}

SEC("tc")
TAG("exception_callback:on_throw")
int exception_callback_called(struct __sk_buff *skb)
{
	if (skb->len)
		bpf_throw(1);
	return on_throw(skb->mark);
}
