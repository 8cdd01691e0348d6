"""Whether what streams do to memory is in an order: as a device would run it, at any time later.

Work on a stream comes after what was given to it before, after events that it was told to wait for,
and after whatever the host has waited for meanwhile.  Two streams that touch the same bytes without
any of these, one of them to write, are a race: found here on every run, where a device shows it now
and then.  Memory that is freed goes back to the stream that it was taken on, which others must be
done with.  What the host's threads know of each other is taken for granted.
"""

import itertools
import threading
import weakref
from collections import defaultdict

_lock = threading.RLock()
_numbers = itertools.count(1)
_waited = defaultdict(int)  # for each stream up to where the host has waited for it
_buffers = {}
races = []


class Order:
    """How far a stream has come, and how far others had that it waited for."""

    def __init__(self):
        self.number = next(_numbers)
        self.seen = defaultdict(int)

    def step(self):
        """Begin something new, and return when that is."""
        self.seen[self.number] += 1
        return self.seen[self.number]

    def join(self, seen):
        """Come after what was seen."""
        with _lock:
            for number, time in seen.items():
                self.seen[number] = max(self.seen[number], time)

    def moment(self):
        """Return all that comes before whatever waits for this moment."""
        with _lock:
            return dict(self.seen)

    def wait(self):
        """Let the host wait for it."""
        with _lock:
            for number, time in self.seen.items():
                _waited[number] = max(_waited[number], time)

    def after(self, number, time):
        """Whether that was before anything new here."""
        return max(self.seen[number], _waited[number]) >= time


class _Buffer:
    """What was done to some memory that the host has not waited for.

    (first byte, end, stream, time, what it was)
    """

    def __init__(self, order):
        self.home = order
        self.reads, self.writes = [], [(0, 2**62, order.number, order.step(), "made")]

    def conflicts(self, order, first, end, writes):
        """Return what comes neither before nor after, and forget what nothing can conflict with."""
        for done in (self.reads, self.writes):
            done[:] = [one for one in done if _waited[one[2]] < one[3]]
        others = [*self.writes, *(self.reads if writes else [])]
        return [
            one for one in others
            if one[0] < end and first < one[1] and not order.after(one[2], one[3])
        ]  # fmt: skip


def _owner(array):
    while array.base is not None and hasattr(array.base, "ctypes"):
        array = array.base
    return array


def touch(order, array, what, writes):
    """Note that a stream reads or writes a NumPy array that stands for one of a device."""
    if not array.nbytes:
        return
    owner = _owner(array)
    with _lock:
        key = id(owner)
        if key not in _buffers:
            _buffers[key] = _Buffer(order)
            weakref.finalize(owner, _freed, key)
        buffer = _buffers[key]
        steps = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
        first = array.ctypes.data + sum(min(step, 0) for step in steps)
        end = array.ctypes.data + sum(max(step, 0) for step in steps) + array.itemsize
        for *_, other in buffer.conflicts(order, first, end, writes):
            races.append(f"{what} of {array.shape} {array.dtype}, on another stream than {other}")
        done = buffer.writes if writes else buffer.reads
        done.append((first, end, order.number, order.step(), what))


def _freed(key):
    with _lock:
        buffer = _buffers.pop(key)
        for *_, other in buffer.conflicts(buffer.home, 0, 2**62, True):
            races.append(f"freed on another stream than {other}")
