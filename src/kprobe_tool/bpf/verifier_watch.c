/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports calls of bpf(BPF_PROG_LOAD) with the log that the verifier wrote into the loader's buffer.
 *
 * What does not fit must never cost an event: the header of a load has its place in a ring of its own before the log
 * is read, and is sent last, so it tells exactly what of the log came. The log is sent from its end, where the
 * verifier says what is wrong, so what is missing is always the beginning.
 */
#include <kprobe_tool.h>
#include <live.h>
#include <registers.h>

#define BPF_PROG_LOAD 5
#define CMD_MASK 0xffff
#define BPF_COMMON_ATTRS (1 << 16)

#define TAIL 2048
/* Most logs are of a few lines. Room in a ring is asked for in sizes that are fixed when this is compiled. */
#define SHORT_TAIL 512
/* The verifier follows each round of a loop, so a larger log is copied in larger pieces. */
#if MAX_LOG > (2 << 20)
#define CHUNK (128 << 10)
#else
#define CHUNK (32 << 10)
#endif
#define CHUNKS (MAX_LOG / CHUNK + 1)
/* Pieces of instructions, for a load that is to be tried again: 8 MiB are the million that the verifier takes. */
#define INSNS_CHUNKS ((8 << 20) / CHUNK)
/* 128 MiB, in which the end of a log is looked for where the kernel does not tell its length. */
#define SCAN (1 << 20)
#define SCANS 128

#define FORMAT 256
#define STRING 128
/* Arguments of a format, from registers and from the stack. */
#define ARGS 10
#define WORDS (ARGS - REGISTERS)
#define MESSAGES 32
/* The upper half, with 5-level page tables as well. */
#define KERNEL_START 0xff00000000000000ULL

/* linux/pid_namespace.h */
#define MAX_PID_NS_LEVEL 32

/* An offset that does not depend on kernel headers: union bpf_attr is ABI. */
#define LOG_TRUE_SIZE 140
#define COMMON_LOG_TRUE_SIZE 16

enum kind { KIND_LOAD, KIND_TAIL, KIND_LOG, KIND_INSNS, KIND_MESSAGE };
enum missing { MISSING_NOTHING, MISSING_LIMIT, MISSING_ROOM, MISSING_UNREADABLE };

/* The part of union bpf_attr that BPF_PROG_LOAD uses. */
struct attr {
	u32 prog_type;
	u32 insn_cnt;
	u64 insns;
	u64 license;
	u32 log_level;
	u32 log_size;
	u64 log_buf;
	u32 kern_version;
	u32 prog_flags;
	char prog_name[16];
	u32 prog_ifindex;
	u32 expected_attach_type;
	u32 prog_btf_fd;
	u32 func_info_rec_size;
	u64 func_info;
	u32 func_info_cnt;
	u32 line_info_rec_size;
	u64 line_info;
	u32 line_info_cnt;
	u32 attach_btf_id;
	u32 attach_prog_fd;
	u32 core_relo_cnt;
	u64 fd_array;
	u64 core_relos;
	u32 core_relo_rec_size;
	u32 log_true_size;
};

/* struct bpf_common_attr (seen on Linux v7.2): where a log may be asked for as well. */
struct common {
	u64 log_buf;
	u32 log_size;
	u32 log_level;
	u32 log_true_size;
	u32 pad;
};

/* The arguments of bpf(2); common is 0 without BPF_COMMON_ATTRS. */
struct call {
	u64 uattr;
	u64 common;
	u32 size;
	u32 common_size;
	u32 cmd;
	u32 compat;
};

/*
 * A load that is going on. start is 0 where only its end was seen: it had begun before, or never did, since seccomp and
 * ptrace come before the tracepoint. attr_read is 0 where its memory could not be read.
 */
struct load {
	u64 start;
	struct call call;
	u64 log_buf;
	u32 log_size;
	u32 log_level;
	u32 messages;
	u32 messages_lost;
	u32 attr_read;
	u32 pad;
	struct attr attr;
};

struct key {
	u32 kind;
	u32 size;
	u64 thread;
	u64 time;
};

struct header {
	struct key key;
	u64 start;
	u64 cgroup;
	u64 user;
	s64 ret;
	u32 length;
	u32 captured;
	u32 true_size;
	u32 missing;
	u32 messages;
	u32 messages_lost;
	u32 insns;
	u32 cmd;
	u32 size;
	u32 compat;
	u32 ns_pid;
	u32 seccomp;
	u32 attr_read;
	u32 pad;
	u64 log_buf;
	u32 log_size;
	u32 log_level;
	struct attr attr;
	char comm[16];
	char license[32];
};

/* data is as long as what is sent: SHORT_TAIL or TAIL. */
struct tail {
	struct key key;
	char data[];
};

struct chunk {
	struct key key;
	char data[CHUNK];
};

/* What the verifier's message function was called with, for a loader that asked for no log. */
struct message {
	struct key key;
	u64 args[ARGS];
	char strings[ARGS][STRING];
	char format[FORMAT];
};

struct sink {
	char bytes[SCAN];
};

/* Which loads are reported. 0 means any; for the type, where 0 is one, has_type says whether one is wanted. */
struct settings {
	u64 comm[2];
	u32 pid;
	u32 all;
	u32 has_type;
	u32 type;
};

BPF_RINGBUF_OUTPUT(events, EVENTS_PAGES);
BPF_RINGBUF_OUTPUT(logs, LOGS_PAGES);
BPF_RINGBUF_OUTPUT(messages, MESSAGES_PAGES);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(settings_map, struct settings, 1);
BPF_HASH(loads, u64, struct load, 4096);
BPF_HASH(late, u64, struct load, 256);
BPF_ARRAY(empty, struct load, 1);
/* How many loads are going on: to look costs every other system call less than to read its number would. */
BPF_ARRAY(active, u64, 1);
/* For bytes that are only counted: all CPUs write here and nobody reads it. */
BPF_ARRAY(sink, struct sink, 1);

/* The bound is known to the verifier of the very register that is returned, which the compiler must not undo. */
static inline u64 least(u64 n, u64 bound)
{
	asm volatile("" : "+r"(n));
	if (n > bound)
		n = bound;
	asm volatile("" : "+r"(n));
	return n;
}

/* The number that the process has in our pid namespace; 0 where it has none there. */
static inline u32 process_number(void)
{
	const char *leader = NULL, *pid = NULL, *namespace = NULL, *upid;
	u32 level = 0, inum = 0, number = 0;

	READ(leader, bpf_get_current_task(), TASK_LEADER);
	READ(pid, leader, TASK_PID);
	READ(level, pid, PID_LEVEL);
	NO_UNROLL
	for (u32 i = 0; i <= MAX_PID_NS_LEVEL; i++) {
		if (i > level)
			break;
		upid = pid + PID_NUMBERS_OFFSET + i * UPID_SIZE;
		READ(namespace, upid, UPID_NS);
		READ(inum, namespace, PID_NAMESPACE_INUM);
		if (inum == PIDNS_INO) {
			READ(number, upid, UPID_NR);
			break;
		}
	}
	return number;
}

/* Reads a call from the registers; 0 where it is no load, or one that the options exclude. */
static inline int call_of(const struct pt_regs *at, u64 number, struct call *call)
{
	u64 arguments[CALL_ARGUMENTS];

	call->compat = is_compat(at);
	if (number != (call->compat ? NR_BPF_COMPAT : NR_BPF))
		return 0;
	read_call(at, call->compat, arguments);
	call->cmd = arguments[0];
	call->uattr = arguments[1];
	call->size = arguments[2];
	call->common = arguments[3];
	call->common_size = arguments[4];
	if (!(call->cmd & BPF_COMMON_ATTRS))
		call->common = 0;
	return (call->cmd & CMD_MASK) == BPF_PROG_LOAD && process_number() != OWN_PID;
}

/* What the loader asks for. Memory that it has never touched is there only after the kernel has read it. */
static inline void read_attr(struct load *load)
{
	const struct call *call = &load->call;
	struct common common = {};

	load->attr_read =
		!bpf_probe_read_user(&load->attr, least(call->size, sizeof(load->attr)), (void *)call->uattr);
	if (call->common &&
	    bpf_probe_read_user(&common, least(call->common_size, sizeof(common)), (void *)call->common))
		load->attr_read = 0;
	load->log_buf = common.log_buf ?: load->attr.log_buf;
	load->log_size = common.log_buf ? common.log_size : load->attr.log_size;
	load->log_level = common.log_level ?: load->attr.log_level;
}

/* Whether the options ask for this load. */
static inline int wanted(const struct load *load, const struct settings *settings)
{
	u64 comm[2] = {};

	if (settings->pid && settings->pid != process_number())
		return 0;
	if (settings->has_type && settings->type != load->attr.prog_type)
		return 0;
	if (!settings->comm[0])
		return 1;
	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] == settings->comm[0] && comm[1] == settings->comm[1];
}

int load_enter(struct bpf_raw_tracepoint_args *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), *count;
	struct load load = {}, *before;
	int zero = 0;

	if (ctx->args[1] != NR_BPF && ctx->args[1] != NR_BPF_COMPAT)
		return 0;
	if (!call_of((void *)ctx->args[0], ctx->args[1], &load.call))
		return 0;
	read_attr(&load);
	load.start = bpf_ktime_get_ns();
	count = active.lookup(&zero);
	/* A thread that died in the middle of a load has left its entry, which is used again and counted once. */
	before = loads.lookup(&thread);
	/* If the map is full, load_exit() reports the load by its end only. */
	if (!loads.update(&thread, &load) && !before && count)
		lock_xadd(count, 1);
	return 0;
}

/* The length of a log without its NUL: what the kernel told (Linux v6.4 and later), else counted. */
static inline u64 length_of(const struct load *load, u32 true_size)
{
	u64 at = 0, size = load->log_size;
	struct sink *into;
	int zero = 0;

	if (!load->log_level || !load->log_buf || !size)
		return 0;
	if (true_size)
		return (true_size < size ? true_size : size) - 1;
	into = sink.lookup(&zero);
	if (!into)
		return 0;
	NO_UNROLL
	for (int i = 0; i < SCANS; i++) {
		long n;

		if (at >= size)
			break;
		n = bpf_probe_read_user_str(into->bytes, least(size - at, SCAN), (void *)(load->log_buf + at));
		if (n <= 0)
			return at;
		at += n - 1;
		if (n < SCAN)
			break;
	}
	return at;
}

static inline void fill(struct header *header, const struct load *load, s64 ret)
{
	const struct call *call = &load->call;

	header->key.kind = KIND_LOAD;
	header->key.size = 0;
	header->start = load->start;
	header->cgroup = bpf_get_current_cgroup_id();
	header->user = bpf_get_current_uid_gid();
	header->ret = ret;
	header->cmd = call->cmd;
	header->size = call->size;
	header->compat = call->compat;
	header->ns_pid = process_number();
	header->seccomp = 0;
#ifdef TASK_SECCOMP_OFFSET
	READ(header->seccomp, bpf_get_current_task(), TASK_SECCOMP);
#endif
	header->attr_read = load->attr_read;
	header->log_buf = load->log_buf;
	header->log_size = load->log_size;
	header->log_level = load->log_level;
	header->messages = load->messages;
	header->messages_lost = load->messages_lost;
	header->insns = 0;
	header->length = 0;
	header->captured = 0;
	header->missing = MISSING_NOTHING;
	header->attr = load->attr;
	bpf_get_current_comm(header->comm, sizeof(header->comm));
	if (bpf_probe_read_user_str(header->license, sizeof(header->license), (void *)load->attr.license) < 0)
		header->license[0] = 0;
	header->true_size = 0;
	if (call->common && call->common_size >= COMMON_LOG_TRUE_SIZE + sizeof(u32))
		bpf_probe_read_user(&header->true_size, sizeof(u32), (void *)(call->common + COMMON_LOG_TRUE_SIZE));
	if (!header->true_size && call->size >= LOG_TRUE_SIZE + sizeof(u32))
		bpf_probe_read_user(&header->true_size, sizeof(u32), (void *)(call->uattr + LOG_TRUE_SIZE));
}

/*
 * How far the sending has come is kept in the record and read back in each round. In a register the verifier would
 * follow it, and up to Linux v6.2 into rounds that cannot be.
 */
static inline u64 sent(const u32 *count)
{
	asm volatile("" ::: "memory");
	return *count;
}

/* Sends the last bytes of a log, limit of them but at most room; whether that worked. */
static inline int send_tail(struct header *header, u64 end, u64 limit, const u64 room)
{
	u64 n = least(limit, room);
	struct tail *tail;

	tail = events.ringbuf_reserve(sizeof(*tail) + room);
	if (!tail) {
		header->missing = MISSING_ROOM;
		return 0;
	}
	tail->key = header->key;
	tail->key.kind = KIND_TAIL;
	tail->key.size = n;
	if (bpf_probe_read_user(tail->data, n, (void *)(end - n))) {
		events.ringbuf_discard(tail, 0);
		header->missing = MISSING_UNREADABLE;
		return 0;
	}
	events.ringbuf_submit(tail, 0);
	header->captured = n;
	return 1;
}

/* Sends the last bytes of a log, limit of them, the very last first. */
static inline void send_log(struct header *header, u64 limit)
{
	u64 end = header->log_buf + header->length, n, done;
	struct chunk *chunk;

	/* Two calls, since each has its own size of a record in it. */
	if (!(limit <= SHORT_TAIL ? send_tail(header, end, limit, SHORT_TAIL) : send_tail(header, end, limit, TAIL)))
		return;
	NO_UNROLL
	for (int i = 0; i < CHUNKS; i++) {
		done = sent(&header->captured);
		if (done >= limit)
			break;
		n = least(limit - done, CHUNK);
		chunk = logs.ringbuf_reserve(sizeof(*chunk));
		if (!chunk) {
			header->missing = MISSING_ROOM;
			break;
		}
		chunk->key = header->key;
		chunk->key.kind = KIND_LOG;
		chunk->key.size = n;
		if (bpf_probe_read_user(chunk->data, n, (void *)(end - done - n))) {
			logs.ringbuf_discard(chunk, 0);
			header->missing = MISSING_UNREADABLE;
			break;
		}
		logs.ringbuf_submit(chunk, 0);
		header->captured = done + n;
	}
}

/* Sends what --max-log allows of a log that was asked for. */
static inline void read_log(struct header *header, const struct load *load)
{
#if MAX_LOG
	header->length = length_of(load, header->true_size);
	/* Read back without what was known of it, so that all ends of the search are one to the verifier. */
	asm volatile("" ::: "memory");
	if (header->length > MAX_LOG)
		header->missing = MISSING_LIMIT;
	if (header->length)
		send_log(header, least(header->length, MAX_LOG));
#endif
}

/* Sends the instructions, from the first on. They are of use only if all of them come. */
static inline void send_insns(struct header *header)
{
#ifdef RELOAD
	u64 limit = (u64)header->attr.insn_cnt * sizeof(u64), n, done;
	struct chunk *chunk;

	NO_UNROLL
	for (int i = 0; i < INSNS_CHUNKS; i++) {
		done = sent(&header->insns);
		if (done >= limit)
			break;
		n = least(limit - done, CHUNK);
		chunk = logs.ringbuf_reserve(sizeof(*chunk));
		if (!chunk)
			break;
		chunk->key = header->key;
		chunk->key.kind = KIND_INSNS;
		chunk->key.size = n;
		if (bpf_probe_read_user(chunk->data, n, (void *)(header->attr.insns + done))) {
			logs.ringbuf_discard(chunk, 0);
			break;
		}
		logs.ringbuf_submit(chunk, 0);
		header->insns = done + n;
	}
#endif
}

/* Room for a load of which only the end is seen; the stack is too small for it. */
static inline struct load *late_load(u64 *thread)
{
	struct load *nothing;
	int zero = 0;

	nothing = empty.lookup(&zero);
	if (!nothing)
		return NULL;
	late.update(thread, nothing);
	return late.lookup(thread);
}

int load_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), number, *count;
	const struct pt_regs *regs_at = (void *)ctx->args[0];
	struct load *load, *known;
	struct settings *settings;
	struct header *header;
	s64 ret = ctx->args[1];
	int zero = 0;

	count = active.lookup(&zero);
	/* While no load is going on, only a call that failed can be one: a load that never began. */
	if (!count || (!*count && ret >= 0))
		return 0;
	number = call_number(regs_at);
	if (number != NR_BPF && number != NR_BPF_COMPAT)
		return 0;
	load = known = loads.lookup(&thread);
	if (!load) {
		struct call call = {};

		if (!call_of(regs_at, number, &call))
			return 0;
		load = late_load(&thread);
		if (!load) {
			counters.increment(SEEN);
			counters.increment(DROPPED);
			return 0;
		}
		load->call = call;
		read_attr(load);
	} else if (!load->attr_read) {
		read_attr(load);
	}
	settings = settings_map.lookup(&zero);
	if (!settings || (ret >= 0 && !settings->all))
		goto out;
	if (!wanted(load, settings)) {
		counters.increment(FILTERED);
		goto out;
	}
	counters.increment(SEEN);
	header = events.ringbuf_reserve(sizeof(*header));
	if (!header) {
		counters.increment(DROPPED);
		goto out;
	}
	header->key.thread = thread;
	header->key.time = bpf_ktime_get_ns();
	fill(header, load, ret);
	if (load->log_level && load->log_buf)
		read_log(header, load);
	else
		send_insns(header);
	counters.increment(EMITTED);
	events.ringbuf_submit(header, 0);
out:
	if (known) {
		loads.delete(&thread);
		lock_xadd(count, -1);
	} else {
		late.delete(&thread);
	}
	return 0;
}

int load_message(struct pt_regs *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), stack;
	struct load *load = loads.lookup(&thread);
	struct message *message;

	if (!load || (load->log_level && load->log_buf))
		return 0;
	message = load->messages < MESSAGES ? messages.ringbuf_reserve(sizeof(*message)) : NULL;
	if (!message) {
		load->messages_lost++;
		return 0;
	}
	message->key.kind = KIND_MESSAGE;
	message->key.size = load->messages++;
	message->key.thread = thread;
	message->key.time = load->start;
	stack = read_format_registers(ctx, message->args);
	if (bpf_probe_read_kernel(&message->args[REGISTERS], WORDS * sizeof(u64), (void *)stack))
		__builtin_memset(&message->args[REGISTERS], 0, WORDS * sizeof(u64));
	if (bpf_probe_read_kernel_str(message->format, FORMAT, (void *)format_of(ctx)) < 0)
		message->format[0] = 0;
	NO_UNROLL
	for (int i = 0; i < ARGS; i++) {
		/* Which of them are strings is found out later, from the format. */
		if (message->args[i] < KERNEL_START ||
		    bpf_probe_read_kernel_str(message->strings[i], STRING, (void *)message->args[i]) < 0)
			message->strings[i][0] = 0;
	}
	messages.ringbuf_submit(message, 0);
	return 0;
}
