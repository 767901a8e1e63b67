"""Turn grey pictures into lists of oriented edges, straightening slanted ones on the way."""

import math

import numpy as np

from neuromem.jit import jit, prange

TAN_EIGHTH_TURN = 0.41421356237309503  # tan(pi / 8): border between an axis and a diagonal
SMALLEST_SPREAD = 1e-2  # vertical second moment below which a picture has no slant


@jit
def straighten(image, out):
    """Shear a picture so that its ink has no slant: out(x, y) = image(x + s (y - rows / 2), y), bilinear, s = mu11 / mu02."""
    rows, columns = image.shape
    mass = 0.0
    sum_x = 0.0
    sum_y = 0.0
    for y in range(rows):
        for x in range(columns):
            v = float(image[y, x])
            mass += v
            sum_x += v * x
            sum_y += v * y
    mu11 = 0.0
    mu02 = 0.0
    if mass > 0.0:
        centre_x = sum_x / mass
        centre_y = sum_y / mass
        for y in range(rows):
            for x in range(columns):
                v = float(image[y, x])
                mu11 += v * (x - centre_x) * (y - centre_y)
                mu02 += v * (y - centre_y) * (y - centre_y)
    if mu02 < SMALLEST_SPREAD:
        for y in range(rows):
            for x in range(columns):
                out[y, x] = image[y, x]
        return
    slant = mu11 / mu02
    middle = rows / 2.0
    for y in range(rows):
        shift = slant * (y - middle)
        whole = math.floor(shift)
        right = shift - whole
        left = 1.0 - right
        offset = int(whole)
        for x in range(columns):
            a = x + offset
            v = 0.0
            if 0 <= a < columns:
                v += left * image[y, a]
            if 0 <= a + 1 < columns:
                v += right * image[y, a + 1]
            out[y, x] = np.uint8(v + 0.5)


@jit
def octant(gx, gy):
    """Bin of a gradient among eight: floor((atan2(gy, gx) + pi) / (2 pi) * 8 + 0.5) % 8, by comparisons alone."""
    ax = abs(gx)
    ay = abs(gy)
    if ay < TAN_EIGHTH_TURN * ax:
        return 0 if gx < 0 else 4
    if ax < TAN_EIGHTH_TURN * ay:
        return 2 if gy < 0 else 6
    if gy < 0:
        return 1 if gx < 0 else 3
    return 7 if gx < 0 else 5


@jit
def nearest_direction(gx, gy, directions):
    """Bin of a gradient among any number: the unit vector with the largest inner product, ties counter-clockwise."""
    n = directions.shape[0]
    best = 0
    top = directions[0, 0] * gx + directions[0, 1] * gy
    first = top
    for k in range(1, n):
        product = directions[k, 0] * gx + directions[k, 1] * gy
        if product >= top:
            best = k
            top = product
    if best == n - 1 and first >= top:
        best = 0
    return best


@jit(parallel=True)
def deskew_images(images, out_images):
    """Straighten every picture: uint8 (n, rows, columns) to the same."""
    for n in prange(images.shape[0]):
        straighten(images[n], out_images[n])


@jit(parallel=True)
def edge_lists(images, threshold, directions, deskew, out_indices, out_counts):
    """List each picture's oriented edges.

    Parameters
    ----------
    images : uint8 (n, rows, columns)
    threshold : float
        Edges are pixels whose Sobel gradient, divided by 4, is longer than this.
    directions : float64 (n_bins, 2)
    deskew : bool
        Straighten first.
    out_indices : int32 (n, (rows - 2) * (columns - 2))
        Feature numbers bin * rows * columns + row * columns + column.
    out_counts : int64 (n,)
    """
    rows, columns = images.shape[1], images.shape[2]
    limit = 16.0 * threshold * threshold
    n_bins = directions.shape[0]
    for n in prange(images.shape[0]):
        picture = np.empty((rows, columns), np.uint8)
        if deskew:
            straighten(images[n], picture)
        else:
            picture[:] = images[n]
        count = 0
        for y in range(1, rows - 1):
            for x in range(1, columns - 1):
                a = np.int64(picture[y - 1, x - 1])
                b = np.int64(picture[y - 1, x])
                c = np.int64(picture[y - 1, x + 1])
                d = np.int64(picture[y, x - 1])
                e = np.int64(picture[y, x + 1])
                f = np.int64(picture[y + 1, x - 1])
                g = np.int64(picture[y + 1, x])
                h = np.int64(picture[y + 1, x + 1])
                gx = (c + 2 * e + h) - (a + 2 * d + f)
                gy = (f + 2 * g + h) - (a + 2 * b + c)
                if float(gx * gx + gy * gy) > limit:
                    k = octant(gx, gy) if n_bins == 8 else nearest_direction(float(gx), float(gy), directions)
                    out_indices[n, count] = k * rows * columns + y * columns + x
                    count += 1
        out_counts[n] = count


@jit(parallel=True)
def gather_lists(lists, starts, out_indices):
    """Put the lists of a block of items one after the other: ``lists[n, :]`` goes to ``starts[n]:starts[n + 1]``."""
    for n in prange(lists.shape[0]):
        for j in range(starts[n + 1] - starts[n]):
            out_indices[starts[n] + j] = lists[n, j]
