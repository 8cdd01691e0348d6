"""Kernels for the CPU, compiled by Numba; importing a module here imports Numba.

simd           which vector registers the target has; a vocabulary of LLVM IR
compiling      the decorator that compiles, and where machine code is kept
rows           survey, scale, the deciding dot product and cosine of a pair
panels         packing
micro_f32      register block of the screen           micro_f64   of the decision
screens        tile walk of the screen                decisions   of the decision
second_moment  sums of products of unit rows, and rows' energies in them
entry          NumPy arrays in, NumPy arrays out: what the table of backends points at
"""
