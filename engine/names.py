"""The parts of the names that are told over the mailboxes: a process is "node/process", a consumer of its "node/process/slot".

A node's name has no slash in it (settings: NODE_NAME). Pure functions.
"""


def node_of(process: str) -> str:
    """The node in a process's name."""
    return process.rpartition("/")[0] or process


def own_name(process: str) -> str:
    """What a process is called within its node."""
    return process.rpartition("/")[2]


def process_of(consumer: str) -> str:
    """The process in a consumer's name."""
    return consumer.rpartition("/")[0] or consumer
