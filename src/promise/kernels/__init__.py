"""Promise-free functions: NumPy, Arrow and the learning libraries only.

Promise runs them, and an export carries the ones its model needs, so that both give the same
digits. Nothing here imports from Promise; state is plain dictionaries of JSON values and arrays.
"""
