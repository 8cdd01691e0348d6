"""The kernels on one device: found, compiled, and launched with arguments that are looked at first.

CuPy passes what it is given: a Python float as 8 bytes to a float32, a NumPy array of one entry by
value, a view without its strides, and one block for a grid of none.  `Module.launch` casts the
first, refuses the next two and does nothing for the last.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .arguments import check_place, check_rows, checked
from .sources import FILES, Signature, signatures, source

_OLDEST_CUPY = (13, 6)
_OLDEST_CAPABILITY = 75
# Entries of rows up to which products of halves are folded on the tensor cores and never stored, by
# the compute capability from which that holds: by an H200's rates (`python -m bench.cuda_model` has
# where a stored tile is faster).  Most devices of 8.x have a fifth of its memory bandwidth, which
# stored tiles wait for; none has been measured.
_FUSED_DEPTHS = {90: 96, 80: 256}
_MOST_BLOCKS = 2**31 - 1, 2**16 - 1, 2**16 - 1
_INSTALL = "pip install 'superpos_fast[cuda13]' or 'superpos_fast[cuda12]'"
OPTIONS = ("-std=c++17",)


class Device(Protocol):
    """What a module of kernels runs on.

    Attributes
    ----------
    number : int
        Of the device.
    capability : int
        Its compute capability, 80 for 8.0.
    arrays : module
        Its array module, `cupy`.
    """

    number: int
    capability: int
    arrays: Any

    def is_current(self) -> bool:
        """Return whether what is launched now is launched there."""

    def function(self, file: str, kernel: str) -> Callable[..., None]:
        """Return a kernel, called with a grid, a block and arguments."""

    def multiply(self, left: Any, right: Any, out: Any, add: bool, tf32: bool) -> None:
        """Write left right^T or `add` it, without less precision than float32 sums.

        Entries are multiplied as they are, but for `tf32`.
        """


class Module:
    """The kernels on one device."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._functions: dict[str, Callable[..., None]] = {}
        self._streams: dict[int, Any] = {}
        self._lock = threading.Lock()

    @property
    def fused_depth(self) -> int:
        """Entries up to which products of rows are folded on the tensor cores; 0 if none are."""
        depths = (_FUSED_DEPTHS[c] for c in _FUSED_DEPTHS if self.device.capability >= c)
        return next(depths, 0)

    def stream(self, number: int) -> Any:
        """Return the stream of a call's thread of that number, on the device, which is current.

        Kept from call to call: CuPy keeps freed memory for the stream that it was taken on.
        """
        with self._lock:
            if number not in self._streams:
                self._streams[number] = self.device.arrays.cuda.Stream(non_blocking=True)
            return self._streams[number]

    def launch(
        self, kernel: str, grid: tuple[int, ...], /, *, shared: int = 0, **arguments: Any
    ) -> None:
        """Launch a kernel with a grid of blocks on the current stream.

        Raises
        ------
        TypeError, ValueError
            As `arguments.checked`; for a grid beyond what there is, or another current device.
        """
        signature = signatures()[kernel]
        values = checked(kernel, self.device, arguments)
        if len(grid) > 3 or any(
            not 0 <= operator.index(blocks) <= most
            for blocks, most in zip(grid, _MOST_BLOCKS, strict=False)
        ):
            raise ValueError(f"{kernel}: a grid must be within {_MOST_BLOCKS}, got {grid}")
        if not self.device.is_current():
            raise ValueError(f"{kernel}: device {self.device.number} must be the current one")
        if 0 in grid:
            return
        block = (signature.threads,)
        self._function(signature)(tuple(grid), block, values, shared_mem=shared)

    def multiply(
        self, left: Any, right: Any, out: Any, *, add: bool = False, tf32: bool = False
    ) -> None:
        """Write the products of all rows of two sides: out[i, j] = sum_k left[i, k] right[j, k].

        float16 or float32 rows, summed in float32 (never in fp16 between the parts of a split sum),
        and multiplied as they are but for `tf32`, which no bound of ours is about; `out` is float16
        or float32, and with `add` they are added to it.  Rows are in one piece each.
        """
        for name, array in (("left", left), ("right", right), ("out", out)):
            check_place(f"multiply: {name}", array, self.device)
            apart = array.strides[0] // array.itemsize if array.ndim == 2 else 0
            check_rows(f"multiply: {name}", array, apart)
        if left.dtype != right.dtype or (left.dtype, out.dtype) not in _PRODUCTS:
            types = f"{left.dtype}, {right.dtype} and {out.dtype}"
            raise TypeError(f"multiply: must be float16 or float32 on both sides, got {types}")
        if (*left.shape, *right.shape) != (len(out), left.shape[1], out.shape[1], left.shape[1]):
            shapes = f"{left.shape}, {right.shape} and {out.shape}"
            raise ValueError(f"multiply: shapes must be (m, d), (n, d) and (m, n), got {shapes}")
        if out.size:
            self.device.multiply(left, right, out, add, tf32)

    def _function(self, signature: Signature) -> Callable[..., None]:
        function = self._functions.get(signature.name)
        if function is None:
            with self._lock:
                function = self.device.function(signature.file, signature.name)
                self._functions[signature.name] = function
        return function


_HALF, _FLOAT = np.dtype(np.float16), np.dtype(np.float32)
_PRODUCTS = {(_HALF, _HALF), (_HALF, _FLOAT), (_FLOAT, _FLOAT)}


def current() -> int:
    """Return the number of the current device; as `load` if there is none."""
    cupy = import_cupy()
    _device_count(cupy)
    return int(cupy.cuda.runtime.getDevice())


def load(number: int | None = None) -> Module:
    """Return the kernels on a device, by default the current one.

    Raises
    ------
    ValueError
        If CuPy, the driver or the device is missing or too old.
    """
    cupy = import_cupy()
    count = _device_count(cupy)
    number = cupy.cuda.runtime.getDevice() if number is None else number
    if not 0 <= number < count:
        raise ValueError(f"devices: must be among the {count} there are, got {number}")
    device = CudaDevice(cupy, number)
    if device.capability < _OLDEST_CAPABILITY:
        raise ValueError(
            f"backend: 'cuda' must have a device of compute capability 7.5 or later, got "
            f"{device.capability / 10} on device {number}"
        )
    return Module(device)


def import_cupy() -> Any:
    """Return CuPy, if it is there and recent enough."""
    try:
        import cupy
    except Exception as error:
        raise ValueError(
            f"backend: 'cuda' must have CuPy ({_INSTALL}), got {_line(error)}"
        ) from None
    version = tuple(int(part) for part in cupy.__version__.split(".")[:2])
    if version < _OLDEST_CUPY:
        oldest = ".".join(map(str, _OLDEST_CUPY))
        raise ValueError(
            f"backend: 'cuda' must have CuPy {oldest} or later ({_INSTALL}), got {cupy.__version__}"
        )
    return cupy


def _device_count(cupy: Any) -> int:
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        built = cupy.cuda.runtime.runtimeGetVersion()
        raise ValueError(
            f"backend: 'cuda' must have an NVIDIA device, and a driver for CUDA "
            f"{built // 1000}.{built % 1000 // 10} (an older one: superpos_fast[cuda12]), "
            f"got {_line(error)}"
        ) from None


def _line(error: Exception) -> str:
    """Return an error in one line, without what else CuPy has to say."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =*")]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


class CudaDevice:
    """A real device, through CuPy."""

    def __init__(self, cupy: Any, number: int) -> None:
        self.arrays, self.number = cupy, number
        self.capability = int(cupy.cuda.Device(number).compute_capability)
        self._modules: dict[str, Any] = {}

    def is_current(self) -> bool:
        """Return whether what is launched now is launched there."""
        return bool(self.arrays.cuda.runtime.getDevice() == self.number)

    def function(self, file: str, kernel: str) -> Callable[..., None]:
        """Return a kernel of a file, which is compiled once for the device."""
        assert file in FILES
        if file not in self._modules:
            self._modules[file] = self._compiled(file)
        function: Callable[..., None] = self._modules[file].get_function(kernel)
        return function

    def _compiled(self, file: str) -> Any:
        module = self.arrays.RawModule(code=source(file), options=OPTIONS, backend="nvrtc")
        with self.arrays.cuda.Device(self.number):
            try:
                module.compile()
            except Exception as error:
                raise ValueError(
                    f"backend: 'cuda' must have CUDA's compiler and headers ({_INSTALL}), "
                    f"got {_line(error)}"
                ) from None
        return module

    def multiply(self, left: Any, right: Any, out: Any, add: bool, tf32: bool) -> None:
        """Write or add left right^T by cuBLAS, its compute type pinned, on the current stream.

        `cupy.matmul` would take TF32 where CUPY_TF32=1, and never writes float32 from float16.
        """
        from cupy_backends.cuda.libs import cublas

        handle = self.arrays.cuda.device.get_cublas_handle()
        (m, depth), n = left.shape, len(right)
        modes = cublas.getMathMode(handle), cublas.getPointerMode(handle)
        cublas.setMathMode(handle, _WHOLE_SUMS)
        cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)
        kinds = [_CUDA_TYPES[array.dtype.name] for array in (right, left, out)]
        # From row to row; of a single row that may say nothing.
        steps = [max(array.strides[0] // array.itemsize, array.shape[1])
                 for array in (right, left, out)]  # fmt: skip
        compute = _COMPUTE_32F if left.dtype == np.float16 else _COMPUTE_32F_PEDANTIC
        compute = _COMPUTE_32F_TF32 if tf32 else compute
        try:
            # cuBLAS counts columns first: its out^T = right left^T is our out.
            cublas.gemmEx(
                handle, cublas.CUBLAS_OP_T, cublas.CUBLAS_OP_N, n, m, depth,
                _ONE.ctypes.data, right.data.ptr, kinds[0], steps[0],
                left.data.ptr, kinds[1], steps[1], (_ONE if add else _ZERO).ctypes.data,
                out.data.ptr, kinds[2], steps[2], compute, _DEFAULT_ALGORITHM,
            )  # fmt: skip
        finally:
            cublas.setMathMode(handle, modes[0])
            cublas.setPointerMode(handle, modes[1])


# Values of cuBLAS's enumerations: cudaDataType, cublasComputeType_t, cublasGemmAlgo_t and the
# cublasMath_t that disallows reductions in reduced precision.
_CUDA_TYPES = {"float32": 0, "float16": 2}
_COMPUTE_32F, _COMPUTE_32F_PEDANTIC, _COMPUTE_32F_TF32 = 68, 69, 77
_DEFAULT_ALGORITHM = -1
_WHOLE_SUMS = 16
_ONE, _ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)
