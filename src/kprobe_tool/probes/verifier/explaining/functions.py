# SPDX-License-Identifier: GPL-2.0-or-later
"""What helpers and kfuncs work on, which programs have them, and what releases what they acquire."""

from __future__ import annotations

MAP_TYPES = [
    "UNSPEC",
    "HASH",
    "ARRAY",
    "PROG_ARRAY",
    "PERF_EVENT_ARRAY",
    "PERCPU_HASH",
    "PERCPU_ARRAY",
    "STACK_TRACE",
    "CGROUP_ARRAY",
    "LRU_HASH",
    "LRU_PERCPU_HASH",
    "LPM_TRIE",
    "ARRAY_OF_MAPS",
    "HASH_OF_MAPS",
    "DEVMAP",
    "SOCKMAP",
    "CPUMAP",
    "XSKMAP",
    "SOCKHASH",
    "CGROUP_STORAGE",
    "REUSEPORT_SOCKARRAY",
    "PERCPU_CGROUP_STORAGE",
    "QUEUE",
    "STACK",
    "SK_STORAGE",
    "DEVMAP_HASH",
    "STRUCT_OPS",
    "RINGBUF",
    "INODE_STORAGE",
    "TASK_STORAGE",
    "BLOOM_FILTER",
    "USER_RINGBUF",
    "CGRP_STORAGE",
    "ARENA",
    "INSN_ARRAY",
]
"""enum bpf_map_type of include/uapi/linux/bpf.h, in order."""

MAPS_OF = (
    (r"bpf_tail_call", "PROG_ARRAY"),
    (r"bpf_(?:perf_event_(?:read|output|read_value)|skb_output|xdp_output)", "PERF_EVENT_ARRAY"),
    (r"bpf_ringbuf_\w{1,24}", "RINGBUF"),
    (r"bpf_user_ringbuf_drain", "USER_RINGBUF"),
    (r"bpf_get_stackid", "STACK_TRACE"),
    (r"bpf_(?:current_task|skb)_under_cgroup", "CGROUP_ARRAY"),
    (r"bpf_redirect_map", "DEVMAP, DEVMAP_HASH, CPUMAP or XSKMAP"),
    (r"bpf_(?:sk_redirect_map|msg_redirect_map|sock_map_update)", "SOCKMAP"),
    (r"bpf_(?:sk_redirect_hash|msg_redirect_hash|sock_hash_update)", "SOCKHASH"),
    (r"bpf_get_local_storage", "CGROUP_STORAGE or PERCPU_CGROUP_STORAGE"),
    (r"bpf_sk_select_reuseport", "REUSEPORT_SOCKARRAY, SOCKMAP or SOCKHASH"),
    (r"bpf_map_pop_elem", "QUEUE or STACK"),
    (r"bpf_map_(?:peek|push)_elem", "QUEUE, STACK or BLOOM_FILTER"),
    (r"bpf_map_lookup_percpu_elem", "PERCPU_ARRAY, PERCPU_HASH or LRU_PERCPU_HASH"),
    (r"bpf_sk_storage_\w{1,8}", "SK_STORAGE"),
    (r"bpf_inode_storage_\w{1,8}", "INODE_STORAGE"),
    (r"bpf_task_storage_\w{1,8}", "TASK_STORAGE"),
    (r"bpf_cgrp_storage_\w{1,8}", "CGRP_STORAGE"),
)
"""Helpers that work on certain maps only: check_map_func_compatibility() in kernel/bpf/verifier.c."""

USED_WITH = {
    "PROG_ARRAY": "bpf_tail_call()",
    "PERF_EVENT_ARRAY": "bpf_perf_event_output()",
    "RINGBUF": "bpf_ringbuf_reserve() and bpf_ringbuf_output()",
    "STACK_TRACE": "bpf_get_stackid()",
    "QUEUE": "bpf_map_push_elem(), bpf_map_pop_elem() and bpf_map_peek_elem()",
    "STACK": "bpf_map_push_elem(), bpf_map_pop_elem() and bpf_map_peek_elem()",
    "SK_STORAGE": "bpf_sk_storage_get()",
    "TASK_STORAGE": "bpf_task_storage_get()",
    "INODE_STORAGE": "bpf_inode_storage_get()",
    "CGRP_STORAGE": "bpf_cgrp_storage_get()",
    "XSKMAP": "bpf_redirect_map()",
    "DEVMAP": "bpf_redirect_map()",
    "CPUMAP": "bpf_redirect_map()",
}
"""Type of map: the helpers that work on it, where most do not."""

TYPES_OF = (
    (r"bpf_xdp_\w{1,40}|bpf_redirect_map", "XDP programs"),
    (r"bpf_msg_\w{1,40}", "programs of type sk_msg"),
    (r"bpf_sock_ops_\w{1,40}|bpf_load_hdr_opt|bpf_store_hdr_opt", "programs of type sock_ops"),
    (r"bpf_lwt_\w{1,40}", "programs of type lwt_in, lwt_out and lwt_xmit"),
    (
        r"bpf_skb_(?:load_bytes|load_bytes_relative|pull_data|under_cgroup|cgroup_id)",
        "programs on packets with an skb (tc, socket filters, cgroup_skb, lwt, sk_skb)",
    ),
    (
        r"bpf_(?:skb|clone|l[34]_csum|csum|set_hash|get_hash|get_cgroup_classid|get_route_realm)_?\w{0,40}",
        "tc programs and others on packets with an skb",
    ),
    (r"bpf_(?:get_stack|get_stackid|perf_event_read\w{0,8}|send_signal\w{0,8})", "tracing programs"),
    (r"bpf_(?:probe_\w{1,24}|copy_from_user\w{0,8}|override_return|get_func_\w{1,10})", "tracing programs"),
    (
        r"bpf_get_current_\w{1,40}",
        "programs that run in the context of a process: tracing programs, and some of those on sockets and cgroups",
    ),
    (r"bpf_sk_lookup_\w{1,16}|bpf_skc_lookup_tcp|bpf_sk_assign", "tc, XDP, sk_lookup and some programs on sockets"),
    (r"bpf_d_path|bpf_inode_storage_\w{1,8}", "programs of types lsm, fentry and fexit on certain functions"),
)
"""Which programs have a helper, for those that people call from others: the *_func_proto() of net/core/filter.c and
kernel/trace/bpf_trace.c. Newer kernels have more of them in more programs."""

TRACING = (
    "Tracing programs are those of kprobe, uprobe, tracepoint, raw_tp, tp_btf, fentry, fexit and perf_event sections."
)

RELEASE = (
    (r"bpf_ringbuf_reserve", "bpf_ringbuf_submit() or bpf_ringbuf_discard()"),
    (
        r"bpf_ringbuf_reserve_dynptr",
        "bpf_ringbuf_submit_dynptr() or bpf_ringbuf_discard_dynptr(), also where it failed",
    ),
    (r"bpf_skc?_lookup_\w{1,8}|bpf_sk_fullsock|bpf_get_listener_sock", "bpf_sk_release()"),
    (r"bpf_task_(?:acquire|from_\w{1,8})", "bpf_task_release()"),
    (r"bpf_cgroup_(?:acquire|from_id|ancestor)", "bpf_cgroup_release()"),
    (r"bpf_cpumask_(?:create|acquire)", "bpf_cpumask_release()"),
    (r"bpf_obj_new\w{0,5}|bpf_refcount_acquire\w{0,5}", "bpf_obj_drop(), or by adding it to a list or tree"),
    (r"bpf_percpu_obj_new\w{0,5}", "bpf_percpu_obj_drop()"),
    (r"bpf_iter_(\w{1,24})_new", "bpf_iter_*_destroy(), which bpf_for_each() does by itself"),
    (r"bpf_get_task_exe_file", "bpf_put_file()"),
    (r"bpf_(?:xdp|skb)_ct_(?:lookup|alloc)", "bpf_ct_release()"),
    (r"bpf_kptr_xchg", "the release function of its type, or by storing it with bpf_kptr_xchg() again"),
)
"""Functions that acquire, and what gives back what they acquired."""
