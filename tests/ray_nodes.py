"""A Ray cluster of two nodes on this machine, run as a process of its own: prints its address, ends when its stdin does."""

import sys

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}
ATTEMPTS = 3  # Ray gives a node 30 seconds to start, too few beside other tests


def started() -> Cluster:
    for left in reversed(range(ATTEMPTS)):
        cluster = Cluster()
        try:
            for _ in range(2):
                cluster.add_node(wait=False, **NODE)
            cluster.wait_for_nodes(timeout=100)
        except Exception:
            cluster.shutdown()
            if not left:
                raise
        else:
            return cluster
    raise AssertionError


if __name__ == "__main__":
    cluster = started()
    try:
        print(cluster.address, flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()
