"""The same work as a task of six job queues, each configured as its documentation advises for work not to be lost.

Each module runs in the peers' virtual environment (requirements.txt in the parent folder): under the queue's own worker
command, and from peers_run.py, which calls its `enqueue(count)`. BENCH_REDIS and BENCH_DATABASE name the stores.
"""
