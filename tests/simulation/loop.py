"""An asyncio event loop in virtual time, shared by simulated processes that can be frozen and killed.

Time stands still while anything can run and jumps to the next timer when nothing can. Each callback
belongs to the process in whose context it was made; callbacks of one process run in the order in which
asyncio promises to run them, and the seed decides which process is next.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any

# So many callbacks at one moment are a loop that never waits.
ENDLESS_CALLBACKS = 2_000_000


class DeadlockError(RuntimeError):
    """Nothing is ready and no timer is set: the tasks named wait for ever."""


class LivelockError(RuntimeError):
    """Callbacks follow callbacks, and time does not move."""


_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Process:
    """Callbacks that live and die together, as those of an operating system's process do.

    Frozen, it runs nothing and misses nothing: what became due runs late, at its thaw. Killed, it never
    runs again, and no cleanup of its is carried out.
    """

    __slots__ = ("_context", "alive", "frozen", "fuse", "loop", "name", "ready")

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.loop = loop
        self._context = Context()
        self._context.run(_process.set, self)
        self.name = name
        self.ready: deque[_Handle] = deque()
        self.alive = True
        self.frozen = False
        # So many more callbacks, and then this happens instead of the next.
        self.fuse: tuple[int, Callable[[], None]] | None = None

    def start(self, main: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run a coroutine as this process's first task."""
        return self.loop.create_task(main, context=self._context.copy())

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Have this process call something later, whoever asks for it."""
        return self.loop.call_later(seconds, callback, *args, context=self._context)

    def freeze(self) -> None:
        """As SIGSTOP does."""
        self.frozen = True
        self.loop.note(self)

    def thaw(self) -> None:
        """As SIGCONT does."""
        self.frozen = False
        self.loop.note(self)

    def kill(self) -> None:
        """As SIGKILL does. Its callbacks are kept, unrun, so that nothing is cleaned up by accident."""
        self.alive = False
        self.loop.note(self)


def current_process() -> Process | None:
    """The process whose callback is running."""
    return _process.get()


class _Handle(asyncio.TimerHandle):
    """A callback to be run, or not any more; as little of asyncio's own as its users see."""

    __slots__ = ()

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False

    def cancel(self) -> None:
        """See `asyncio.Handle.cancel`."""
        self._cancelled = True
        self._callback, self._args = _nothing, ()

    def __repr__(self) -> str:
        return f"{self._callback!r}{self._args!r}"


def _nothing() -> None:
    """What is left of a cancelled callback."""


_Timer = tuple[float, int, _Handle | None, Callable[..., object], tuple[Any, ...]]


class _ReadyNowhere:
    """Stands in for asyncio's one queue of ready callbacks, which is not used."""

    def clear(self) -> None:
        """Asked for when the loop closes."""

    def __len__(self) -> int:
        return 0


class NumberedTask(asyncio.Task[Any]):
    """A task that hashes by order of creation, so that sets are walked alike in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, loop: "VirtualLoop", **options: Any) -> None:
        self.number = loop.next_number()
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class NumberedFuture(asyncio.Future[Any]):
    """A future that hashes by the order in which futures are first asked for their hash."""

    number = 0

    def __hash__(self) -> int:
        if not self.number:
            loop = self.get_loop()
            assert isinstance(loop, VirtualLoop)
            self.number = loop.next_number()
        return self.number


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. It stands on BaseEventLoop's own, unlisted attributes, of which the types know nothing.

    Args:
        rng: decides which process is next; None for the order of their creation, round and round.
    """

    _stopping: bool
    # False; asked for with every future, and so without a frame of its own.
    get_debug = staticmethod(bool)

    def __init__(self, rng: Random | None = None) -> None:
        super().__init__()
        self._rng = rng
        # Seconds since the loop was made, virtual ones: what `time` says, for those who ask often.
        self.now = 0.0
        self._last_number = 0
        self._ready = _ReadyNowhere()
        self._runnable: list[Process] = []
        self._callbacks = 0
        # When, in which order, and what: a handle, or what the world itself does.
        self._timers: list[_Timer] = []
        self.world = Process(self, "world")
        self.set_task_factory(_new_task)
        # Without a frame of its own: it is asked for with nearly every await.
        self.create_future = partial(NumberedFuture, loop=self)  # type: ignore[method-assign] # as above

    def process(self, name: str) -> Process:
        """Make a process."""
        return Process(self, name)

    def next_number(self) -> int:
        """Count tasks and futures."""
        self._last_number += 1
        return self._last_number

    def note(self, process: Process) -> None:
        """A process may have become able to run, or unable."""
        able = process.alive and not process.frozen and bool(process.ready)
        if able and process not in self._runnable:
            self._runnable.append(process)
        elif not able and process in self._runnable:
            self._runnable.remove(process)

    def time(self) -> float:
        """See `now`."""
        return self.now

    def call_soon(  # type: ignore[override] # the library's own signature, less exact
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.loop.call_soon`; in order within a process."""
        context = copy_context() if context is None else context
        handle = _Handle(self.now, callback, args, context)
        process = context.get(_process) or self.world
        ready = process.ready
        if not ready and process.alive and not process.frozen:
            self._runnable.append(process)
        ready.append(handle)
        return handle

    # There are no threads; asyncio itself asks for this one where a generator is left unfinished.
    call_soon_threadsafe = call_soon  # type: ignore[assignment] # as above

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio.loop.call_later`."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Timers of the same time fire in the order in which they were set."""
        handle = _Handle(when, callback, args, copy_context() if context is None else context)
        self._last_number += 1
        heappush(self._timers, (when, self._last_number, handle, _nothing, ()))
        return handle

    def world_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """As `world.call_later`, for what is never cancelled and goes before all else of its moment."""
        self._last_number += 1
        heappush(self._timers, (self.now + seconds, self._last_number, None, callback, args))

    def _append(self, handle: _Handle) -> None:
        process = handle._context.get(_process) or self.world
        ready = process.ready
        if not ready and process.alive and not process.frozen:
            self._runnable.append(process)
        ready.append(handle)

    # Written out here and below: what runs at every step of every seed is no place for small functions.
    def _run_once(self) -> None:
        """Run callbacks; where none is ready, let time pass to the next timer. Until the loop is stopped."""
        runnable, random = self._runnable, _first if self._rng is None else self._rng.random
        while not self._stopping:
            if not runnable:
                self._pass_time()
                continue
            process = runnable[0] if len(runnable) == 1 else runnable[int(random() * len(runnable))]
            if process.fuse is not None and self._burns_down(process):
                continue
            ready = process.ready
            handle = ready.popleft()
            if not ready:
                runnable.remove(process)
            if handle._cancelled:
                continue
            self._callbacks += 1
            if self._callbacks > ENDLESS_CALLBACKS:
                raise LivelockError(f"time stands still at {self.now} s; next: {handle!r}")
            try:
                handle._context.run(handle._callback, *handle._args)
            except Exception as error:  # noqa: BLE001 - as asyncio does
                self._failed(error, handle)

    def _failed(self, error: Exception, what: object) -> None:
        self.call_exception_handler({"message": f"an exception in {what!r}", "exception": error})

    def _burns_down(self, process: Process) -> bool:
        assert process.fuse is not None
        left, action = process.fuse
        process.fuse = (left - 1, action) if left else None
        if left == 0:
            action()
        return left == 0

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and (first := timers[0][2]) is not None and first._cancelled:
            heappop(timers)
        if not timers:
            raise DeadlockError(f"deadlock at {self.now} s: {self._waiting()}")
        self._callbacks = 0
        now = timers[0][0]
        # A timer may have been set for a time that was over already.
        if now > self.now:
            self.now = now
        else:
            now = self.now
        while timers and timers[0][0] <= now:
            _, _, handle, callback, args = heappop(timers)
            if handle is None:
                self._callbacks += 1
                if self._callbacks > ENDLESS_CALLBACKS:
                    raise LivelockError(f"time stands still at {self.now} s; next: {callback!r}")
                try:
                    callback(*args)
                except Exception as error:  # noqa: BLE001 - as asyncio does
                    self._failed(error, callback)
            elif not handle._cancelled:
                self._append(handle)

    def _waiting(self) -> str:
        return ", ".join(sorted(repr(task.get_coro()) for task in asyncio.all_tasks(self)))

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector, so nobody is to be woken."""

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""


def _first() -> float:
    """Draw the first one, always."""
    return 0.0


def _new_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> NumberedTask:
    assert isinstance(loop, VirtualLoop)
    return NumberedTask(coro, loop=loop, **options)
