"""The devices and streams of one call: each thread works on one device, on a stream of its own.

What the caller's streams have been given comes first: all others wait for it.  Results are copied
to the host before a call returns, so that these need not wait in turn.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from .loader import Module

# Of each device, so that one is busy while the host looks at what the other has found.
STREAMS = 2


class Place:
    """Where one thread works: a device, and a stream on each."""

    def __init__(self, team: Team, number: int) -> None:
        self._team, self._number = team, number
        self.module = team.modules[number % len(team.modules)]
        self._streams: dict[int, Any] = {}

    @property
    def stream(self) -> Any:
        """The stream on the thread's own device."""
        return self.stream_on(self.module)

    @contextmanager
    def on(self, module: Module) -> Iterator[None]:
        """Work on some device."""
        with self._team.arrays.cuda.Device(module.device.number), self.stream_on(module):
            yield

    def synchronize(self, module: Module) -> None:
        """Wait for what this thread has launched on a device."""
        self.stream_on(module).synchronize()

    def use(self) -> None:
        """Work on the thread's own device from now on."""
        self._team.arrays.cuda.Device(self.module.device.number).use()
        self.stream.use()

    def stream_on(self, module: Module) -> Any:
        """Return the thread's stream on a device."""
        number = module.device.number
        if number not in self._streams:
            with self._team.arrays.cuda.Device(number):
                self._streams[number] = module.stream(self._number)
                for event in self._team.begun:
                    self._streams[number].wait_event(event)
        return self._streams[number]


class Team:
    """Modules of kernels, one for each device, and the threads that launch them."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = tuple(modules)
        self.arrays = modules[0].device.arrays
        self._lock = threading.Lock()

    @property
    def streams(self) -> int:
        """How many threads there are."""
        return STREAMS * len(self.modules)

    def __enter__(self) -> Team:
        cuda = self.arrays.cuda
        self._device, self._streams, self.begun = cuda.Device(), {}, []
        numbers = {self._device.id, *(module.device.number for module in self.modules)}
        for number in numbers:
            with cuda.Device(number):
                self._streams[number] = stream = cuda.get_current_stream()
                event = cuda.Event(disable_timing=True)
                event.record(stream)
                self.begun.append(event)
        self._own = threading.local()
        self._numbers = itertools.count()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, stream in self._streams.items():
            with self.arrays.cuda.Device(number):
                stream.use()
        self._device.use()

    def here(self) -> Place:
        """Return where this thread works."""
        place: Place | None = getattr(self._own, "place", None)
        if place is None:
            with self._lock:
                place = Place(self, next(self._numbers))
            self._own.place = place
            place.use()
        return place
