"""Temporary."""
import time
from .test_skmsg_watch import *
from kprobe_tool.probes.skmsg.watch import Filters

def test_bench(watch, kernel):
    N = 1009
    for method in ("kprobe", "fentry"):
        w = watch if method == "kprobe" else Watch(Method.FENTRY)
        with skmsg.connection() as (client, peer):
            skmsg.use(w.program, "pass_on", client)
            for rep in range(3):
                for name, filters in (("off", None), ("port", Filters(port=1)), ("default", Filters()), ("all", Filters(everything=True))):
                    if filters: w.start(filters)
                    t = time.perf_counter(); 
                    skmsg.exchange(client, peer, N)
                    t = time.perf_counter() - t
                    print("BENCH", method, rep, name, "%.1f us" % (t / N * 1e6))
                    if filters:
                        list(w.feed(NOW))
