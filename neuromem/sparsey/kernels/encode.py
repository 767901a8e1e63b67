"""Turn grey pictures into lists of oriented edges, straightening slanted ones on the way."""

import math

import numpy as np

from neuromem.jit import jit, prange

IMAGES_PER_TASK = 16  # share one set of buffers
LARGEST_SQUARE = 2.0**30  # no squared gradient gets there
SMALLEST_SPREAD = 1e-2  # vertical second moment below which a picture has no slant


@jit
def straighten(image, row_mass, row_sum, out):
    """Shear a picture so that its ink has no slant: out(x, y) = image(x + s (y - rows / 2), y), bilinear, s = mu11 / mu02.

    ``row_mass`` and ``row_sum``, int64 (rows,), are buffers for the moments of each row, which are whole numbers.
    """
    rows, columns = image.shape
    mass = 0.0
    sum_x = 0.0
    sum_y = 0.0
    for y in range(rows):
        line = image[y]
        ink = 0
        moment = 0
        for x in range(columns):
            ink += np.int64(line[x])
            moment += np.int64(line[x]) * x
        row_mass[y] = ink
        row_sum[y] = moment
        mass += ink
        sum_x += moment
        sum_y += ink * y
    mu11 = 0.0
    mu02 = 0.0
    if mass > 0.0:
        centre_x = sum_x / mass
        centre_y = sum_y / mass
        for y in range(rows):
            mu11 += (row_sum[y] - centre_x * row_mass[y]) * (y - centre_y)
            mu02 += row_mass[y] * (y - centre_y) * (y - centre_y)
    if mu02 < SMALLEST_SPREAD:
        for y in range(rows):
            for x in range(columns):
                out[y, x] = image[y, x]
        return
    slant = mu11 / mu02
    middle = rows / 2.0
    for y in range(rows):
        for x in range(columns):
            out[y, x] = 0
        if row_mass[y] == 0:
            continue
        shift = slant * (y - middle)
        whole = math.floor(shift)
        right = shift - whole
        left = 1.0 - right
        if abs(whole) > columns:
            continue
        offset = int(whole)
        first = max(0, -offset)
        last = min(columns, columns - 1 - offset)  # between them both neighbours are inside
        if last > first:
            line = image[y, first + offset : last + offset + 1]
            target = out[y, first:last]
            for x in range(last - first):
                target[x] = np.uint8(left * line[x] + right * line[x + 1] + 0.5)
        if 0 <= -1 - offset < columns:
            out[y, -1 - offset] = np.uint8(right * image[y, 0] + 0.5)
        if 0 <= columns - 1 - offset < columns:
            out[y, columns - 1 - offset] = np.uint8(left * image[y, columns - 1] + 0.5)


@jit
def octant(gx, gy):
    """Bin of a gradient among eight: floor((atan2(gy, gx) + pi) / (2 pi) * 8 + 0.5) % 8, in whole numbers.

    The border between an axis and a diagonal has the slope tan(pi / 8) = sqrt(2) - 1, so that a gradient belongs to the
    horizontal axis where |gx| + |gy| < sqrt(2) |gx|; no gradient of whole numbers lies on it.
    """
    ax = abs(gx)
    ay = abs(gy)
    both = (ax + ay) * (ax + ay)
    horizontal = 0 if gx < 0 else 4
    vertical = 2 if gy < 0 else 6
    upper = 1 if gx < 0 else 3
    lower = 7 if gx < 0 else 5
    diagonal = upper if gy < 0 else lower
    rest = vertical if both < 2 * ay * ay else diagonal
    return horizontal if both < 2 * ax * ax else rest


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
    if best == n - 1 and first >= top and (n > 2 or gy > 0):  # two bins tie on both sides: gy tells which
        best = 0
    return best


@jit
def list_edges(picture, limit, directions, smooth, change, square, feature, out):
    """List one picture's edges; how many.  ``smooth`` to ``feature``, int32 (columns,), are buffers for one row."""
    rows, columns = picture.shape
    n_bins = directions.shape[0]
    count = 0
    for y in range(1, rows - 1):
        above = picture[y - 1]
        here = picture[y]
        below = picture[y + 1]
        for x in range(columns):
            smooth[x] = np.int32(above[x]) + 2 * np.int32(here[x]) + np.int32(below[x])
            change[x] = np.int32(below[x]) - np.int32(above[x])
        start = y * columns + 1
        for x in range(columns - 2):
            gx = smooth[x + 2] - smooth[x]
            gy = change[x] + 2 * change[x + 1] + change[x + 2]
            square[x] = gx * gx + gy * gy
            feature[x] = octant(gx, gy) * (rows * columns) + start + x
        if n_bins == 8:
            for x in range(columns - 2):
                # written always, kept only where it counts: no branch to guess
                out[count] = feature[x]
                count += square[x] > limit
        else:
            for x in range(columns - 2):
                if square[x] > limit:
                    gx = smooth[x + 2] - smooth[x]
                    gy = change[x] + 2 * change[x + 1] + change[x + 2]
                    k = nearest_direction(float(gx), float(gy), directions)
                    out[count] = k * rows * columns + start + x
                    count += 1
    if n_bins == 8 and count < out.shape[0]:
        out[count] = 0  # at most one number was written that did not count
    return count


@jit(parallel=True)
def deskew_images(images, out_images):
    """Straighten every picture: uint8 (n, rows, columns) to the same."""
    n_images, rows = images.shape[0], images.shape[1]
    for task in prange((n_images + IMAGES_PER_TASK - 1) // IMAGES_PER_TASK):
        row_mass = np.empty(rows, np.int64)
        row_sum = np.empty(rows, np.int64)
        for n in range(task * IMAGES_PER_TASK, min(n_images, (task + 1) * IMAGES_PER_TASK)):
            straighten(images[n], row_mass, row_sum, out_images[n])


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
    n_images, rows, columns = images.shape
    limit = np.int64(min(16.0 * threshold * threshold, LARGEST_SQUARE))  # cut to a whole number, as squares are
    for task in prange((n_images + IMAGES_PER_TASK - 1) // IMAGES_PER_TASK):
        picture = np.empty((rows, columns), np.uint8)
        row_mass = np.empty(rows, np.int64)
        row_sum = np.empty(rows, np.int64)
        smooth = np.empty(columns, np.int32)
        change = np.empty(columns, np.int32)
        square = np.empty(columns, np.int32)
        feature = np.empty(columns, np.int32)
        for n in range(task * IMAGES_PER_TASK, min(n_images, (task + 1) * IMAGES_PER_TASK)):
            if deskew:
                straighten(images[n], row_mass, row_sum, picture)
            else:
                picture[:] = images[n]
            out_counts[n] = list_edges(picture, limit, directions, smooth, change, square, feature, out_indices[n])


@jit(parallel=True)
def gather_lists(lists, starts, out_indices):
    """Put the lists of a block of items one after the other: ``lists[n, :]`` goes to ``starts[n]:starts[n + 1]``."""
    for n in prange(lists.shape[0]):
        for j in range(starts[n + 1] - starts[n]):
            out_indices[starts[n] + j] = lists[n, j]
