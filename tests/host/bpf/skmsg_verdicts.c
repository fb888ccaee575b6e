
/* Appended to skmsg_watch.c: verdict programs to be watched, and one that watches by itself. */
BPF_SOCKMAP(sockets, 8);

int pass_on(struct sk_msg_md *msg)
{
	return SK_PASS;
}

int push_pop_pull(struct sk_msg_md *msg)
{
	bpf_msg_push_data(msg, 0, 8, 0);
	bpf_msg_pop_data(msg, 0, 8, 0);
	bpf_msg_pull_data(msg, 0, 1, 0);
	return SK_PASS;
}

int look_and_pass(struct sk_msg_md *msg)
{
	look(VERDICT, (u64)msg, sk_of((u64)msg));
	return SK_PASS;
}
