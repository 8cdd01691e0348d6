"""The kernels on NVIDIA devices: CUDA C sources, what they ask of their caller, and their loader.

    types.cuh        names of types, how functions are declared
    primitives.cuh   what is no plain C++, all inline PTX among it
    deciding.cuh     the deciding arithmetic
    folds.cuh        what becomes of values, in registers
    rows.cu          survey, scale, unit rows
    decisions.cu     cosines of listed pairs and of tiles
    tiles.cu         folds over tiles in memory and over lists
    fused.cu         tiles on the tensor cores, folded in registers

    sources          their text and signatures         arguments  what launches are given, checked
    loader           compiled and launched
    formats          what kernels and their caller agree on

What the engine holds, with the array module as what the loader's device says:

    team             devices, streams, and which thread works where
    resident         rows on devices, whole matrices or blocks       inputs   those of others
    packed           unit rows in float32 and float16
    values           tiles as folds look at them       gates      what values must reach
    tile_folds       folds                screening    screens       deciding   decisions
    hosts            lists of the best, by the host's threads
    moments          sums of products     rates        how fast a device multiplies and copies
    model            how fast it should be
    entry            all of these: what the table of backends points at

`../README.md` has a table of all kernels.  Importing this imports no CuPy.
"""
