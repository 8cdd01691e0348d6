"""The kernels on one device: found, compiled, and launched with arguments that are looked at first.

CuPy passes what it is given: a Python float as 8 bytes to a float32, a NumPy array of one entry by
value, a view without its strides, and one block for a grid of none.  `Module.launch` refuses the
first three and does nothing for the last.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .sources import FILES, Parameter, Signature, signatures, source

_OLDEST_CUPY = (13, 6)
_OLDEST_CAPABILITY = 75
_FUSED_CAPABILITY = 80
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

    def multiply(self, left: Any, right: Any, out: Any, tf32: bool) -> None:
        """Write left right^T, rows as they lie, without less precision than float32 sums.

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
    def fuses(self) -> bool:
        """Whether the device has the kernels that multiply on tensor cores."""
        return self.device.capability >= _FUSED_CAPABILITY

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
        TypeError
            If an argument is missing, unknown or not what the signature says.
        ValueError
            If an array lies on another device or is not laid out as its strides say.
        """
        signature = signatures()[kernel]
        names = [parameter.name for parameter in signature.parameters]
        if set(names) != set(arguments):
            wrong = ", ".join(sorted(set(names) ^ set(arguments)))
            raise TypeError(f"{kernel}: must be given {', '.join(names)}, not so: {wrong}")
        values = [self._checked(signature, p, arguments) for p in signature.parameters]
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
        self._function(signature)(tuple(grid), block, tuple(values), shared_mem=shared)

    def multiply(self, left: Any, right: Any, out: Any, *, tf32: bool = False) -> None:
        """Write the products of all rows of two sides: out[i, j] = sum_k left[i, k] right[j, k].

        float16 or float32 rows, summed in float32 (never in fp16 between the parts of a split sum),
        and multiplied as they are but for `tf32`, which no bound of ours is about; `out` is float16
        or float32.  All are C-contiguous.
        """
        for name, array in (("left", left), ("right", right), ("out", out)):
            self._check_place(f"multiply: {name}", array)
            if array.ndim != 2 or not array.flags.c_contiguous:
                raise ValueError(f"multiply: {name} must be rows that lie together")
        if left.dtype != right.dtype or (left.dtype, out.dtype) not in _PRODUCTS:
            types = f"{left.dtype}, {right.dtype} and {out.dtype}"
            raise TypeError(f"multiply: must be float16 or float32 on both sides, got {types}")
        if (*left.shape, *right.shape) != (len(out), left.shape[1], out.shape[1], left.shape[1]):
            shapes = f"{left.shape}, {right.shape} and {out.shape}"
            raise ValueError(f"multiply: shapes must be (m, d), (n, d) and (m, n), got {shapes}")
        if out.size:
            self.device.multiply(left, right, out, tf32)

    def _function(self, signature: Signature) -> Callable[..., None]:
        with self._lock:
            if signature.name not in self._functions:
                self._functions[signature.name] = self.device.function(
                    signature.file, signature.name
                )
            return self._functions[signature.name]

    def _checked(self, signature: Signature, parameter: Parameter, arguments: Any) -> Any:
        name = f"{signature.name}: {parameter.name}"
        value = arguments[parameter.name]
        if not parameter.pointer:
            assert parameter.type is not None
            return scalar(name, value, parameter.type)
        self._check_place(name, value)
        if parameter.type is None:
            check_rows(name, value, arguments[f"{_prefix(parameter.name)}stride"])
        elif value.dtype != parameter.type:
            raise TypeError(f"{name} must be of {parameter.type.__name__}, got {value.dtype}")
        elif not value.flags.c_contiguous:
            raise ValueError(f"{name} must be C-contiguous, got strides {value.strides}")
        return value

    def _check_place(self, name: str, value: Any) -> None:
        if not isinstance(value, self.device.arrays.ndarray):
            raise TypeError(f"{name} must be an array on the device, got {type(value).__name__}")
        if value.device.id != self.device.number:
            number = value.device.id
            raise ValueError(f"{name} must lie on device {self.device.number}, got device {number}")


def scalar(name: str, value: Any, kind: type[np.generic]) -> np.generic:
    """Return a number of a parameter's type; only one that this type holds exactly."""
    if issubclass(kind, np.integer):
        number = operator.index(value)
        limits = np.iinfo(kind)
        if not limits.min <= number <= limits.max:
            raise TypeError(f"{name} must be of {kind.__name__}, got {number}")
        return kind(number)
    if not isinstance(value, float | int | np.floating):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    with np.errstate(over="ignore"):
        cast = kind(value)
    if float(cast) != float(value):
        raise TypeError(f"{name} must be a {kind.__name__}, got {float(value)!r} between two")
    return cast


def check_rows(name: str, array: Any, stride: Any) -> None:
    """Check that rows of any type lie `stride` elements apart, each in one piece."""
    size = array.dtype.itemsize
    if array.ndim != 2 or (array.shape[1] > 1 and array.strides[1] != size):
        raise ValueError(f"{name} must be rows, each in one piece, got strides {array.strides}")
    if len(array) > 1 and array.strides[0] != operator.index(stride) * size:
        raise ValueError(f"{name} must have rows {stride} apart, got strides {array.strides}")


def _prefix(name: str) -> str:
    return "" if name == "data" else f"{name}_"


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

    def multiply(self, left: Any, right: Any, out: Any, tf32: bool) -> None:
        """Write left right^T by cuBLAS, its compute type pinned, on the current stream.

        `cupy.matmul` would take TF32 where CUPY_TF32=1, and never writes float32 from float16.
        """
        from cupy_backends.cuda.libs import cublas

        handle = self.arrays.cuda.device.get_cublas_handle()
        (m, depth), n = left.shape, len(right)
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        modes = cublas.getMathMode(handle), cublas.getPointerMode(handle)
        cublas.setMathMode(handle, _WHOLE_SUMS)
        cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)
        kinds = [_CUDA_TYPES[array.dtype.name] for array in (right, left, out)]
        compute = _COMPUTE_32F if left.dtype == np.float16 else _COMPUTE_32F_PEDANTIC
        compute = _COMPUTE_32F_TF32 if tf32 else compute
        try:
            # cuBLAS counts columns first: its out^T = right left^T is our out.
            cublas.gemmEx(
                handle, cublas.CUBLAS_OP_T, cublas.CUBLAS_OP_N, n, m, depth,
                one.ctypes.data, right.data.ptr, kinds[0], depth, left.data.ptr, kinds[1], depth,
                zero.ctypes.data, out.data.ptr, kinds[2], n, compute, _DEFAULT_ALGORITHM,
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
