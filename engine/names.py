"""The parts of names used in mailboxes: a process is "node/process", and its consumers are "node/process/slot".

A node's name contains no slash (setting NODE_NAME). Pure functions.
"""


def node_of(process: str) -> str:
    """Return the node in a process's name."""
    return process.rpartition("/")[0] or process


def own_name(process: str) -> str:
    """Return a process's name within its node."""
    return process.rpartition("/")[2]


def process_of(consumer: str) -> str:
    """Return the process in a consumer's name."""
    return consumer.rpartition("/")[0] or consumer
