"""Kernels for the CPU, compiled by Numba; importing a module here imports Numba.

simd           which vector registers the target has; a vocabulary of LLVM IR
compiling      the decorator that compiles, and where machine code is kept
rows           survey, scale, the deciding dot product and cosine of a pair
panels         packing
micro_f32      register block of the screen           micro_f64   of the decision
micro_i8       of codes                               micro_amx   of codes and digits, in tiles
codes          rows as a few bits an entry            digits      as three times eight
screens        tile walk of the screen                decisions   of the decision
smooth_maximum sums of exponentials of squared cosines, and their gradient
second_moment  sums of products of unit rows, and rows' energies in them
normals        normal numbers by their place in a stream

What the engine holds, NumPy arrays in and NumPy arrays out:

deciding       surveys and decisions        screening    packed rows, codes, screened tiles
tile_folds     folds                        moments      sums of products
entry          all of these: what the table of backends points at
"""
