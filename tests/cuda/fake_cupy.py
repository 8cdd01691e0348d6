"""What the backend uses of CuPy, on NumPy: as strict as CuPy, and stricter where it is silent.

Arrays of it mix with no array of the host, convert to none unless asked by `get` or `asnumpy`, lie
on the device that was current when they were made, and are no arrays to NumPy's functions.  What
streams do to them is looked at by `stream_order`.
"""

import contextlib
import itertools
import threading
import weakref
from types import SimpleNamespace

import numpy as np

import stream_order

__version__ = "14.2.0"

for _type in (
    "bool_", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64",
):  # fmt: skip
    globals()[_type] = getattr(np, _type)
inf, nan = np.inf, np.nan
dtype, newaxis = np.dtype, None


class _Current(threading.local):
    """The thread's device, and its stream on each, as CuPy has them."""

    def __init__(self):
        self.device, self.streams = 0, {}

    @property
    def stream(self):
        return self.streams.get(self.device, _Stream.null)

    @stream.setter
    def stream(self, stream):
        self.streams[self.device] = stream


_current = _Current()
_streams = weakref.WeakSet()
DEVICES = 2


def host(value):
    """The NumPy array behind an array; anything else as it is."""
    return value._host if isinstance(value, ndarray) else value


def note(value, what, writes=False):
    """Note that the current stream reads or writes an array, or arrays in a list."""
    if isinstance(value, ndarray):
        stream_order.touch(_current.stream.order, value._host, what, writes)
    elif isinstance(value, tuple | list):
        for part in value:
            note(part, what, writes)


def _refuse_host_arrays(values):
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError("an array of the host among arrays of a device")
        if isinstance(value, tuple | list):
            _refuse_host_arrays(value)
        if isinstance(value, ndarray) and value._number != _current.device:
            raise ValueError("an array of another device than the current one")


def _lower(value):
    if isinstance(value, tuple | list):
        return type(value)(_lower(part) for part in value)
    return host(value)


def _lift(result):
    if isinstance(result, np.ndarray | np.generic):
        return ndarray(np.asarray(result))  # a reduction stays on the device
    if isinstance(result, tuple | list):
        return type(result)(_lift(part) for part in result)
    return result


def _on_device(function):
    def call(*arguments, **options):
        _refuse_host_arrays([*arguments, *options.values()])
        out = options.get("out")
        note([*arguments, *options.values()], function.__name__)
        note(out, function.__name__, writes=True)
        result = function(
            *map(_lower, arguments), **{name: _lower(value) for name, value in options.items()}
        )
        return out if out is not None else _lift(result)

    return call


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801
    """An array of a device."""

    def __init__(self, values):
        assert type(values) is np.ndarray
        self._host, self._number = values, _current.device
        if values.base is None:
            note(self, "made", writes=True)

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: ndarray(self._host.T))
    data = property(
        lambda self: SimpleNamespace(ptr=self._host.ctypes.data, device_id=self._number)
    )
    device = property(lambda self: SimpleNamespace(id=self._number))
    __cuda_array_interface__ = property(
        lambda self: {"shape": self.shape, "typestr": self.dtype.str, "version": 3}
    )

    def __array_ufunc__(self, ufunc, method, *arguments, out=None, **options):
        if out is not None:
            options["out"] = out[0]
        return _on_device(getattr(ufunc, method))(*arguments, **options)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __len__(self):
        return len(self._host)

    def __bool__(self):
        return bool(self._host)

    def __int__(self):
        return int(self._host)

    def __index__(self):
        return self._host.__index__()

    def __float__(self):
        return float(self._host)

    def __repr__(self):
        return f"on device {self._number}: {self._host!r}"

    def __getitem__(self, place):
        _refuse_host_arrays(place if isinstance(place, tuple) else [place])
        part = ndarray(np.asarray(self._host[_lower(place)]))
        part._number = self._number  # where it is, whatever device is current
        return part

    def __setitem__(self, place, value):
        _refuse_host_arrays([*(place if isinstance(place, tuple) else [place]), value])
        note([value, place], "[]=")
        part = self._host[_lower(place)]
        shared = np.shares_memory(part, self._host)
        note(ndarray(part) if shared else self, "[]=", writes=True)
        self._host[_lower(place)] = host(value)

    def get(self, out=None):
        note(self, "get")
        _current.stream.synchronize()
        if out is None:
            return self._host.copy()
        out[...] = self._host
        return out

    def set(self, values):
        if type(values) is not np.ndarray or values.shape != self.shape:
            raise ValueError("set: must be an array of the host and of this shape")
        if values.dtype != self.dtype:
            raise TypeError("set: must be of this type")
        note(self, "set", writes=True)
        self._host[...] = values

    def view(self, kind):
        return ndarray(self._host.view(kind))

    def __dlpack_device__(self):
        return 2, self._number


def _give_methods():
    for name in (
        "astype", "copy", "reshape", "ravel", "sum", "max", "min", "any", "all", "argmax", "argmin",
        "argsort", "cumsum", "fill", "item", "nonzero", "transpose", "repeat", "sort", "take",
    ):  # fmt: skip

        def method(self, *arguments, _name=name, **options):
            _refuse_host_arrays([self, *arguments, *options.values()])
            note([self, *arguments, *options.values()], _name)
            note(self if _name in ("fill", "sort") else None, _name, writes=True)
            result = getattr(self._host, _name)(
                *map(_lower, arguments), **{key: _lower(value) for key, value in options.items()}
            )
            return result if _name == "item" else _lift(result)

        setattr(ndarray, name, method)


_give_methods()

for _name in (
    "empty", "zeros", "ones", "full", "arange", "empty_like", "zeros_like", "full_like",
    "ascontiguousarray", "concatenate", "stack", "where", "nonzero", "flatnonzero", "unique",
    "searchsorted", "bincount", "cumsum", "argmax", "argsort", "lexsort", "sort", "partition",
    "abs", "absolute", "sqrt", "maximum", "minimum", "isnan", "isneginf", "isfinite", "isinf",
    "sign", "clip", "repeat", "take", "count_nonzero", "any", "all", "sum", "max", "min", "divmod",
    "broadcast_to", "array_equal", "nextafter", "take_along_axis", "diff", "ldexp", "frexp",
    "einsum", "dot", "outer", "linalg",
):  # fmt: skip
    if _name != "linalg":
        globals()[_name] = _on_device(getattr(np, _name))


def array(values, dtype=None, copy=True):
    """Copy an array of the host, or numbers, to the device."""
    note(values, "copied")
    return ndarray(np.array(host(values), dtype=dtype))


def asarray(values, dtype=None):
    """The same, without a copy of what is there already."""
    here = isinstance(values, ndarray) and values._number == _current.device
    if here and (dtype is None or values.dtype == dtype):
        return values
    return array(values, dtype)


def from_dlpack(values):
    """What another library has on a device, without a copy."""
    kind, number = values.__dlpack_device__()
    assert kind == 2
    with _Device(number):
        return ndarray(values.array)


def asnumpy(values):
    """Copy to the host."""
    return values.get() if isinstance(values, ndarray) else np.asarray(values)


def matmul(left, right, out=None):
    """A product; into `out` only where CuPy would not take a copy in between."""
    _refuse_host_arrays([left, right])
    if left.dtype.kind != "f" or right.dtype.kind != "f":
        raise TypeError("matmul: integers have no fast product on a device")
    if out is None:
        return ndarray(np.matmul(host(left), host(right)))
    if not out.flags.c_contiguous or out.dtype != np.promote_types(left.dtype, right.dtype):
        raise TypeError("matmul: would go through a copy")
    note([left, right], "matmul")
    note(out, "matmul", writes=True)
    np.matmul(host(left), host(right), out=host(out))
    return out


class _Device:
    compute_capability = "80"

    def __init__(self, number=None):
        self.id = _current.device if number is None else number
        self._before = []

    def __enter__(self):
        self._before.append(_current.device)
        _current.device = self.id
        return self

    def __exit__(self, *_):
        _current.device = self._before.pop()

    def use(self):
        _current.device = self.id

    def synchronize(self):
        for stream in list(_streams):
            if stream in (_Stream.null, _current.stream) or stream.device == self.id:
                stream.synchronize()


class _Stream:
    _numbers = itertools.count()

    def __init__(self, null=False, non_blocking=False, ptds=False):
        self.ptr = next(self._numbers)
        self.order = stream_order.Order()
        self.device, self._before = _current.device, []
        _streams.add(self)

    def __enter__(self):
        self._before.append(_current.stream)
        self.use()
        return self

    def __exit__(self, *_):
        _current.stream = self._before.pop()

    def use(self):
        if self.device != _current.device and self is not _Stream.null:
            raise ValueError("a stream of another device than the current one")
        _current.stream = self

    def synchronize(self):
        self.order.wait()

    def wait_event(self, event):
        self.order.join(event.moment.seen)

    def record(self, event=None):
        event = event or _Event()
        event.record(self)
        return event


class _Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.moment = stream_order.Order()

    def record(self, stream=None):
        self.moment.join((_current.stream if stream is None else stream).order.moment())

    def synchronize(self):
        self.moment.wait()


class _CUDARuntimeError(RuntimeError):
    pass


_Stream.null = _Stream()

cuda = SimpleNamespace(
    Device=_Device,
    Stream=_Stream,
    Event=_Event,
    get_current_stream=lambda device_id=None: _current.stream,
    alloc_pinned_memory=lambda size: np.empty(size, np.uint8),
    runtime=SimpleNamespace(
        CUDARuntimeError=_CUDARuntimeError,
        getDevice=lambda: _current.device,
        setDevice=lambda number: setattr(_current, "device", number),
        getDeviceCount=lambda: DEVICES,
        memGetInfo=lambda: (8 << 30, 16 << 30),
        runtimeGetVersion=lambda: 13000,
    ),
)


def get_default_memory_pool():
    """A pool that keeps nothing."""
    return SimpleNamespace(free_all_blocks=lambda: None, used_bytes=lambda: 0, free_bytes=lambda: 0)


@contextlib.contextmanager
def devices(count):
    """Let there be so many devices."""
    global DEVICES
    before, DEVICES = DEVICES, count
    yield
    DEVICES = before
