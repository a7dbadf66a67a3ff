"""The same work as a task of six job queues, each configured as its own documentation advises for work that must not be lost.

Each module is run in the peers' virtual environment (requirements.txt beside this folder): by its own worker command, and by
peers_run.py, which calls its `enqueue(count)` there. BENCH_REDIS and BENCH_DATABASE say where.
"""
