"""Work off the hub needs no name server, its errors reach the caller, and parts are cut by number and size."""

import subprocess
import sys

import gevent
import pytest
from gevent import monkey

from engine.turns import off_the_hub, parts


@pytest.fixture
def names_that_nobody_answers_for():
    """Block all threads of gevent's own pool with look-ups, where its resolver waits for name servers."""
    lock = monkey.get_original("_thread", "allocate_lock")()

    def hang():
        with lock:
            return

    pool = gevent.get_hub().threadpool
    lock.acquire()
    pending = [pool.spawn(hang) for _ in range(pool.maxsize)]
    yield
    lock.release()
    for each in pending:
        each.wait(10)


def test_name_servers_that_give_no_answer_hold_up_no_work(names_that_nobody_answers_for):
    """Regression: twelve hung look-ups stopped all rules with a regular expression, and so all classification."""
    with gevent.Timeout(10, AssertionError("it waits for a thread")):
        assert off_the_hub(sum, [1, 2]) == 3


def test_what_the_work_raises_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        off_the_hub(divmod, 1, 0)


def test_a_process_ends_while_work_is_going_on_off_its_hub():
    code = """if True:
        from gevent import monkey; monkey.patch_all()
        import gevent
        from engine.turns import off_the_hub
        def work():
            while True:
                pass
        greenlets = [gevent.spawn(off_the_hub, work) for _ in range(9)]
        gevent.sleep(0.05)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([4, 4, 4], [[4, 4], [4]]),
        ([20, 1, 20, 20], [[20], [1], [20], [20]]),
        ([5, 5, 1], [[5, 5], [1]]),
    ],
)
def test_a_part_has_so_many_items_and_so_much_or_one_item(sizes, expected):
    assert list(parts(sizes, int, 3, 10)) == expected
