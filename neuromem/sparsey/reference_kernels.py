"""Every kernel in plain NumPy, with the kernel's own arguments: what the mirror suite compares against."""

import numpy as np

from neuromem.sparsey.packing import pack_cells, unpack_cells
from neuromem.sparsey.reference import ReferenceMac

TRANSFERS = ("psi", "logistic")
FREEZES = (None, "cell", "mac")


def dense_items(indices, indptr, n_features):
    """Items as a table."""
    items = np.zeros((len(indptr) - 1, n_features), bool)
    for n, item in enumerate(items):
        item[indices[indptr[n] : indptr[n + 1]]] = True
    return items


def seen_by(items, row_of_feature):
    """What one mac sees of the items, (n_items, n_afferents)."""
    features = np.flatnonzero(row_of_feature >= 0)
    seen = np.zeros((len(items), row_of_feature.max() + 1), bool)
    seen[:, row_of_feature[features]] = items[:, features]
    return seen


def reference_mac(m, row_of_feature, cell_order, bounds, exponents, sigmoid, transfer, freeze, limit, key, step):
    """The plain form of mac ``m``."""
    return ReferenceMac(
        int(row_of_feature[m].max()) + 1,
        cell_order[m],
        key,
        mac=m,
        u_exponent=exponents[0],
        familiarity_floor=exponents[1],
        expansivity_exponent=exponents[2],
        expansivity_scale=exponents[3],
        sigmoid=tuple(sigmoid),
        transfer=transfer,
        bounds=(bounds[0], bounds[1]),
        normaliser=int(bounds[2]),
        freeze=freeze,
        freeze_limit=limit,
        step=step,
    )


def accumulate_and_choose(indices, indptr, row_of_feature, weights, n_modules, units, padded, out_winners, out_counts):
    """Largest count of each module and its position."""
    seen = seen_by(dense_items(indices, indptr, len(row_of_feature)), row_of_feature)
    counts = np.einsum("nr,rqk->nqk", seen.astype(int), unpack_cells(weights, n_modules, units)[:-1].astype(int))
    out_winners[:] = counts.argmax(axis=2)
    out_counts[:] = counts.max(axis=2)


def learn_stream(
    indices,
    indptr,
    row_of_feature,
    cell_order,
    shape,
    bounds,
    exponents,
    sigmoid,
    modes,
    limits,
    key,
    first_step,
    n_learned,
    silent,
    weights,
    n_weights,
    frozen,
    out_codes,
    out_written,
    out_familiarity,
):
    """Item by item, mac by mac."""
    items = dense_items(indices, indptr, row_of_feature.shape[1])
    freeze = FREEZES[modes[2]]
    for m in range(len(weights)):
        limit = int(limits[1] if freeze == "mac" else limits[0])
        parts = (bounds, exponents, sigmoid, TRANSFERS[modes[0]], freeze, limit, key, first_step)
        mac = reference_mac(m, row_of_feature, cell_order, *parts)
        mac.weights = unpack_cells(weights[m], int(shape[0]), int(shape[1]))[:-1]
        mac.frozen = frozen[m].reshape(shape[0], shape[1]).copy()
        for n, x in enumerate(seen_by(items, row_of_feature[m])):
            code, written, out_familiarity[n, m] = mac.present(x, n < n_learned)
            out_codes[n, m] = silent if code is None else code
            out_written[n, m] = silent if written is None else written
        weights[m, :-1] = pack_cells(mac.weights)
        n_weights[m] = mac.weights.sum(axis=0).ravel()
        frozen[m] = mac.frozen.ravel()


def recall_batch(
    indices,
    indptr,
    row_of_feature,
    cell_order,
    shape,
    bounds,
    exponents,
    with_familiarity,
    silent,
    weights,
    out_codes,
    out_familiarity,
):
    """The same without learning."""
    items = dense_items(indices, indptr, row_of_feature.shape[1])
    for m in range(len(weights)):
        parts = (bounds, exponents, np.ones(4), "psi", None, 0, np.zeros(2, np.uint32), 0)
        mac = reference_mac(m, row_of_feature, cell_order, *parts)
        mac.weights = unpack_cells(weights[m], int(shape[0]), int(shape[1]))[:-1]
        for n, x in enumerate(seen_by(items, row_of_feature[m])):
            code, _, out_familiarity[n, m] = mac.present(x, False)
            out_codes[n, m] = silent if code is None else code


def reconstruct(codes, silent, position_of_cell, padded, weights, feature_of_row, coverage, out_scores):
    """Share of winners with a weight from each feature, averaged over macs."""
    n_modules, units = position_of_cell.shape[1:]
    out_scores[:] = 0
    for n, code in enumerate(codes):
        for m, winners in enumerate(code):
            if winners[0] != silent:
                cells = unpack_cells(weights[m], n_modules, units)[:-1]
                positions = position_of_cell[m, np.arange(n_modules), winners]
                shared = cells[:, np.arange(n_modules), positions].sum(axis=1)
                out_scores[n, feature_of_row[m]] += shared.astype(np.float32)
    out_scores[:] = out_scores * coverage / np.float32(n_modules)


def shared_winners(codes_a, codes_b, silent, out_shared):
    """Equal winners, silent modules aside."""
    out_shared[:] = ((codes_a[:, None] == codes_b) & (codes_a[:, None] != silent)).sum(axis=2)


def count_labels(codes, silent, units, labels, counts):
    """Counts of every cell and class."""
    for n, label in enumerate(labels):
        for j, winner in enumerate(codes[n]):
            if winner != silent:
                counts[j * units + int(winner), label] += 1


def correct_errors(codes, silent, units, labels, margin, first_step, weights, step_weighted):
    """The error-gated rule, item by item."""
    for n, label in enumerate(labels):
        awake = np.flatnonzero(codes[n] != silent)
        rows = awake * units + codes[n, awake]
        scores = weights[rows].sum(axis=0)
        others = np.where(np.arange(len(scores)) == label, np.iinfo(np.int32).min, scores)
        rival = int(others.argmax())
        if scores[label] < scores[rival] + margin * len(rows):
            for cls, change in ((label, 1), (rival, -1)):
                weights[rows, cls] += change
                step_weighted[rows, cls] += change * (first_step + n)


def sum_scores(codes, silent, units, table, out_scores):
    """Sum of the winners' rows, in module order."""
    out_scores[:] = 0
    for n, code in enumerate(codes):
        for j, winner in enumerate(code):
            if winner != silent:
                out_scores[n] += table[j * units + int(winner)]


def edge_lists(images, threshold, directions, deskew, out_indices, out_counts):
    """Oriented edges by arctan2; pictures are taken as they are."""
    _, rows, columns = images.shape
    n_bins = len(directions)
    for n, image in enumerate(images.astype(int)):
        count = 0
        for y in range(1, rows - 1):
            for x in range(1, columns - 1):
                patch = image[y - 1 : y + 2, x - 1 : x + 2]
                gx = (patch[:, 2] - patch[:, 0]) @ [1, 2, 1]
                gy = (patch[2] - patch[0]) @ [1, 2, 1]
                if np.hypot(gx, gy) / 4 > threshold:
                    turn = (np.arctan2(gy, gx) + np.pi) / (2 * np.pi)
                    k = int(np.floor(np.round(turn * n_bins + 0.5, 9))) % n_bins  # see reference_encode
                    out_indices[n, count] = (k * rows + y) * columns + x
                    count += 1
        out_counts[n] = count


def deskew_images(images, out_images):
    """Shear by the slant, row by row."""
    _, rows, columns = images.shape
    y, x = np.mgrid[:rows, :columns]
    for image, out in zip(images.astype(float), out_images, strict=True):
        mass = image.sum()
        centre_x, centre_y = ((image * x).sum() / mass, (image * y).sum() / mass) if mass else (0.0, 0.0)
        spread = (image * (y - centre_y) ** 2).sum()
        slant = (image * (x - centre_x) * (y - centre_y)).sum() / spread if spread >= 1e-2 else 0.0
        for r in range(rows):
            source = np.arange(columns) + slant * (r - rows / 2)
            out[r] = np.interp(source, np.arange(-1, columns + 1), np.pad(image[r], 1)) + 0.5


def gather_lists(lists, starts, out_indices):
    """Concatenate the used parts of all lists."""
    for n, row in enumerate(lists):
        out_indices[starts[n] : starts[n + 1]] = row[: starts[n + 1] - starts[n]]
