"""The bit layout of a mac's cells, in NumPy: the one place that says how cells map to words."""

import numpy as np


def padded_units(units_per_module: int) -> int:
    """Bits that one module takes: the next power of two up to 64, else whole words.

    Examples
    --------
    >>> [padded_units(k) for k in (1, 20, 64, 65, 192)]
    [1, 32, 64, 128, 192]
    """
    if units_per_module <= 64:
        return 1 << (units_per_module - 1).bit_length()
    return 64 * -(-units_per_module // 64)


def words_per_row(n_modules: int, units_per_module: int) -> int:
    """Number of 64-bit words that hold one bit per cell of a mac."""
    return -(-n_modules * padded_units(units_per_module) // 64)


def pack_cells(cells: np.ndarray) -> np.ndarray:
    """Pack flags (..., n_modules, units_per_module) into uint64 words (..., n_words)."""
    *lead, n_modules, units = cells.shape
    padded = padded_units(units)
    bits = np.zeros((*lead, n_modules, padded), np.uint8)
    bits[..., :units] = cells
    if padded > 64:  # first words of all modules, then their second words ...
        bits = bits.reshape(*lead, n_modules, padded // 64, 64).swapaxes(-3, -2)
    flat = np.zeros((*lead, 64 * words_per_row(n_modules, units)), np.uint8)
    flat[..., : n_modules * padded] = bits.reshape(*lead, -1)
    return np.packbits(flat, axis=-1, bitorder="little").view("<u8")


def unpack_cells(words: np.ndarray, n_modules: int, units_per_module: int) -> np.ndarray:
    """Undo :func:`pack_cells`: uint64 words (..., n_words) to bool (..., n_modules, units_per_module)."""
    padded = padded_units(units_per_module)
    lead = words.shape[:-1]
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., : n_modules * padded]
    if padded > 64:
        bits = bits.reshape(*lead, padded // 64, n_modules, 64).swapaxes(-3, -2)
    return bits.reshape(*lead, n_modules, padded)[..., :units_per_module].astype(bool)
