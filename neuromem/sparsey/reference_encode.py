"""The encoders in plain NumPy: short, slow, written from the formulas; used by tests and as documentation."""

import numpy as np


def oriented_edges(images: np.ndarray, n_bins: int = 8, threshold: float = 60.0) -> np.ndarray:
    """Orientation maps by arctan2: uint8 (n, rows, columns) to uint8 (n, n_bins * rows * columns)."""
    n, rows, columns = images.shape
    v = images.astype(np.float64)
    maps = np.zeros((n, n_bins, rows, columns), np.uint8)
    smooth_y = v[:, :-2] + 2 * v[:, 1:-1] + v[:, 2:]
    smooth_x = v[:, :, :-2] + 2 * v[:, :, 1:-1] + v[:, :, 2:]
    gx = (smooth_y[:, :, 2:] - smooth_y[:, :, :-2]) / 4
    gy = (smooth_x[:, 2:] - smooth_x[:, :-2]) / 4
    # rounded, so that a gradient on a border is a tie whatever the last bit of arctan2; no other comes so near to one
    turns = np.round((np.arctan2(gy, gx) + np.pi) / (2 * np.pi) * n_bins + 0.5, 9)
    bins = np.floor(turns).astype(int) % n_bins
    item, y, x = np.nonzero(gx * gx + gy * gy > threshold * threshold)
    maps[item, bins[item, y, x], y + 1, x + 1] = 1
    return maps.reshape(n, -1)


def deskew(images: np.ndarray) -> np.ndarray:
    """Shear by mu11 / mu02 about the middle row, bilinear, black outside: uint8 (n, rows, columns) to the same."""
    _, rows, columns = images.shape
    y, x = np.mgrid[:rows, :columns]
    out = images.copy()
    for image, straight in zip(images.astype(np.float64), out, strict=True):
        mass = image.sum()
        if not mass:
            continue
        dx, dy = x - (image * x).sum() / mass, y - (image * y).sum() / mass
        if (image * dy * dy).sum() < 1e-2:
            continue
        slant = (image * dx * dy).sum() / (image * dy * dy).sum()
        for r in range(rows):
            source = np.arange(columns) + slant * (r - rows / 2)
            straight[r] = np.interp(source, np.arange(-1, columns + 1), np.pad(image[r], 1)) + 0.5
    return out


def thermometer(X: np.ndarray, n_levels: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Level i of a feature is on above low + (high - low) * i / (n_levels + 1), one number at a time."""
    n, d = X.shape
    out = np.zeros((n, d, n_levels), np.uint8)
    for item, feature, level in np.ndindex(out.shape):
        border = low[feature] + (high[feature] - low[feature]) * (level + 1) / (n_levels + 1)
        out[item, feature, level] = X[item, feature] > border
    return out.reshape(n, d * n_levels)
