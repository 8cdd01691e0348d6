"""The kernels: the arithmetic of superpos_fast, and nothing else.

A leaf.  Kernels know arrays and numbers; they know no statistic, no plan, no thread, no user, and
import nothing from above.

    vectors ──> survey            what each row is: exponent, squared length, finite or not
       │
       ├──────> pack ──> screen   float32 unit rows in panels; a tile of dot products in
       │                  │       registers, with a proven error bound; lists what it cannot decide
       │                  ▼
       └──────> scale ──> decide  the same pairs in the deciding arithmetic, one by one or a tile
                                  at a time; what comes out is the answer

`reference` is that arithmetic as plain NumPy and the measure of everything else; `cpu` holds the
same entry points compiled by Numba, and `cuda` for NVIDIA devices.  `records` are what kernels and
the engine above them hand each other.  `README.md` has a page for every kernel.
"""
