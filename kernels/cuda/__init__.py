"""The kernels on NVIDIA devices: CUDA C sources, what they ask of their caller, and their loader.

    types.cuh        names of types, how functions are declared
    primitives.cuh   what is no plain C++, all inline PTX among it
    deciding.cuh     the deciding arithmetic
    folds.cuh        what becomes of values, in registers
    rows.cu          survey, scale, unit rows
    decisions.cu     cosines of listed pairs and of tiles
    tiles.cu         folds over tiles in memory and over lists
    fused.cu         tiles on the tensor cores, folded in registers

`../README.md` has a table of all kernels.  Importing this imports no CuPy.
"""
