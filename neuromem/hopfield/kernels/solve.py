"""Solutions of the self-consistency equations n = F(n), at many points at once.

A point is worked on by one thread in a fixed order, so results do not depend on the number of threads.  Matrices are small:
Cholesky's and Jacobi's methods are written out, which keeps the order of operations ours.
"""

import math

import numpy as np

from neuromem.hopfield.kernels.theory import row_free_energy, row_sums
from neuromem.jit import jit, prange

POINTS_PER_TASK = 8

TOO_STEEP = 1e50  # a slope that can only come from a tie
SETTLED = 1e-13  # steps of at most this end an iteration
ROUNDING, CRITICAL_ROUNDING = 1e-15, 1e-12  # a residual of this times the solution is none; the same where the slope is 1
MARGINAL = 1e-9  # slopes within this of 1 are taken for 1, as they are at a critical point
PLAIN_STEPS = 12  # before the first implicit step
NEWTON_STEPS = 100
SHRINKING = 0.75  # Newton steps shrink at least like this: faster near a simple solution, by 2/3 at a critical point
NEAR = 0.01  # of the largest amplitude: a solution so near needs no points between
LONGEST = 0.03  # of the largest amplitude: how far one implicit step may go
SMALLEST_SHIFT, LARGEST_SHIFT = 1e-8, 1e3
NEARLY_SETTLED = 1e-8  # a residual below which it is asked whether the solution ahead is stable
MOVING = 1e-12  # a residual along unstable directions above which it leaves them by itself
KICK = 1e-3  # relative (where there is nothing: absolute) size of the push off an unstable solution
MOST_KICKS = 20


@jit
def newton_step(slopes, residual, shift, work, out_step):
    """Solve (shift + 1 - A) step = residual by Cholesky's method.

    Returns the smallest pivot; gives up at one that is not above 0.
    """
    n = residual.shape[0]
    smallest = np.inf
    for i in range(n):
        for j in range(i + 1):
            total = (1.0 + shift if i == j else 0.0) - slopes[i, j]
            for k in range(j):
                total -= work[i, k] * work[j, k]
            if i == j:
                smallest = min(smallest, total)
                if not total > 0.0:
                    return total
                work[i, i] = math.sqrt(total)
            else:
                work[i, j] = total / work[j, j]
    for i in range(n):
        total = residual[i]
        for k in range(i):
            total -= work[i, k] * out_step[k]
        out_step[i] = total / work[i, i]
    for i in range(n - 1, -1, -1):
        total = out_step[i]
        for k in range(i + 1, n):
            total -= work[k, i] * out_step[k]
        out_step[i] = total / work[i, i]
    return smallest


@jit
def eigen(matrix, out_vectors):
    """Eigenvalues of a symmetric matrix on its diagonal, vectors in columns: Jacobi's rotations, in place."""
    n = matrix.shape[0]
    out_vectors[:] = 0.0
    for i in range(n):
        out_vectors[i, i] = 1.0
    for _ in range(60):
        rotated = False
        for p in range(n):
            for q in range(p + 1, n):
                off = matrix[p, q]
                if abs(off) <= 1e-16 * math.sqrt(abs(matrix[p, p])) * math.sqrt(abs(matrix[q, q])) or abs(off) < 1e-30:
                    continue
                rotated = True
                theta = (matrix[q, q] - matrix[p, p]) / (2.0 * off)
                t = 1.0 / (abs(theta) + math.sqrt(theta * theta + 1.0))
                if theta < 0.0:
                    t = -t
                c = 1.0 / math.sqrt(t * t + 1.0)
                s = t * c
                for k in range(n):
                    x, y = matrix[k, p], matrix[k, q]
                    matrix[k, p], matrix[k, q] = c * x - s * y, s * x + c * y
                for k in range(n):
                    x, y = matrix[p, k], matrix[q, k]
                    matrix[p, k], matrix[q, k] = c * x - s * y, s * x + c * y
                    x, y = out_vectors[k, p], out_vectors[k, q]
                    out_vectors[k, p], out_vectors[k, q] = c * x - s * y, s * x + c * y
        if not rotated:
            return


@jit
def push_off(slopes, vectors, residual, n):
    """Push n off an unstable solution, unless it is on its way: then it returns False.

    The push is along the part of (1, 1/2, 1/4, ...) that lies in the directions of slope above 1; ``slopes`` is overwritten.
    """
    n_patterns = n.shape[0]
    eigen(slopes, vectors)
    size = largest_absolute(n)
    size = KICK * (size if size > KICK else 1.0)
    moving, length = 0.0, 0.0
    steepest = 0
    for k in range(n_patterns):
        if slopes[k, k] > slopes[steepest, steepest]:
            steepest = k
    for k in range(n_patterns):
        if slopes[k, k] > 1.0 + MARGINAL or k == steepest:
            part, along = 0.0, 0.0
            for j in range(n_patterns):
                part += vectors[j, k] * 0.5**j
                along += vectors[j, k] * residual[j]
            moving = max(moving, abs(along))
            length += part * part
    if moving > MOVING:
        return False
    for k in range(n_patterns):
        if slopes[k, k] > 1.0 + MARGINAL or k == steepest:
            part = 0.0
            for j in range(n_patterns):
                part += vectors[j, k] * 0.5**j
            part = part / math.sqrt(length) if length > 1e-12 else (1.0 if k == steepest else 0.0)
            for j in range(n_patterns):
                n[j] += size * part * vectors[j, k]
    return True


@jit
def largest_difference(x, y):
    """Largest absolute difference of two vectors."""
    largest = 0.0
    for k in range(x.shape[0]):
        largest = max(largest, abs(x[k] - y[k]))
    return largest


@jit
def largest_absolute(x):
    """Largest absolute value of a vector."""
    largest = 0.0
    for k in range(x.shape[0]):
        largest = max(largest, abs(x[k]))
    return largest


@jit
def newton(values, weights, noise, beta, n, trial, sums, slopes, work, spare, step):
    """Newton's method from n; returns (evaluations of F, whether it stayed in the basin); the solution is in ``trial``.

    It is believed only where 1 - A is positive definite at each of its points, so that the free energy is convex there and the
    solution stable, where its steps shrink, and where the same holds at points between n and the solution.
    """
    trial[:] = n
    before = np.inf
    for steps in range(1, NEWTON_STEPS):
        row_sums(values, weights, noise, trial, beta, sums, slopes)
        residual = largest_difference(sums, trial)
        sums -= trial
        pivot = newton_step(slopes, sums, 0.0, work, step)
        length = largest_absolute(step)
        relative = residual / max(largest_absolute(trial), SETTLED)
        done = pivot > -MARGINAL and relative <= (ROUNDING if pivot > MARGINAL else CRITICAL_ROUNDING)
        if not done:
            if not pivot > 0.0 or length > SHRINKING * before:
                return steps, False
            trial += step
        if done or length <= SETTLED:
            far = largest_difference(trial, n) / max(largest_absolute(n), SETTLED)
            checks = 0 if far < NEAR else (1 if far < 5.0 * NEAR else 3)
            for i in range(1, checks + 1):
                step[:] = n + (trial - n) * (i / (checks + 1.0))
                row_sums(values, weights, noise, step, beta, sums, spare)
                steps += 1
                if not newton_step(spare, sums, 0.0, work, step) > 0.0:
                    return steps, False
            return steps, True
        before = length
    return NEWTON_STEPS, False


@jit
def settle(values, weights, noise, beta, max_steps, n, trial, sums, slopes, work, spare, step, nothing):
    """Follow n <- F(n) from n into its solution; n is replaced.  Returns (evaluations of F, converged); ``slopes`` is A there.

    Plain steps go down the gradient of the free energy and so define the basin.  After a few of them Newton's method is tried.
    Where it is not to be believed the descent goes on by implicit steps, (shift + 1 - A) step = F(n) - n, with a shift that
    makes the matrix positive definite and the step short.  A solution that is not stable is left by a small push.
    """
    steps, kicks, shift, wait = 0, 0, 0.0, 0
    plain = PLAIN_STEPS
    sharp = beta == np.inf and not np.any(noise > 0.0)  # F takes a few values only: plain steps are exact and final
    while steps < max_steps:
        if plain > 0:
            row_sums(values, weights, noise, n, beta, sums, nothing)
            steps += 1
            plain -= 0 if sharp else 1
            if largest_difference(sums, n) > SETTLED:
                n[:] = sums
                continue
            plain = 0
        if wait == 0:
            more, believed = newton(values, weights, noise, beta, n, trial, sums, slopes, work, spare, step)
            steps += more
            if believed:
                n[:] = trial
                return steps, True
        row_sums(values, weights, noise, n, beta, sums, slopes)
        steps += 1
        residual = largest_difference(sums, n)
        sums -= n
        pivot = newton_step(slopes, sums, 0.0, work, step)
        if not pivot > 0.0 and residual <= NEARLY_SETTLED and push_off(slopes, work, sums, n):
            kicks += 1
            plain = PLAIN_STEPS
            if kicks == MOST_KICKS:
                return steps, False
            continue
        wait = 1 if not pivot > 0.0 else (wait + 1) % 4
        size = largest_absolute(n)
        if residual >= LONGEST * size:  # a plain step goes as far
            n += sums
            continue
        shift = max(shift * 0.125, SMALLEST_SHIFT)
        while shift < LARGEST_SHIFT:
            pivot = newton_step(slopes, sums, shift, work, step)
            if pivot > 0.0 and largest_absolute(step) <= LONGEST * size:
                break
            shift *= 4.0
        n += step if shift < LARGEST_SHIFT else sums
    return steps, False


@jit
def solve_some(
    first,
    last,
    values,
    levels,
    level_weights,
    zero_weights,
    noise,
    laws,
    betas,
    starts,
    max_steps,
    out_n,
    out_stability,
    out_free_energy,
    out_steps,
):
    """The points from ``first`` up to ``last``, one after the other."""
    n_rows, n_patterns = values.shape
    weights = np.empty(n_rows)
    slopes, work = np.empty((n_patterns, n_patterns)), np.empty((n_patterns, n_patterns))
    spare, nothing = np.empty((n_patterns, n_patterns)), np.empty((0, n_patterns))
    sums, step, trial = np.empty(n_patterns), np.empty(n_patterns), np.empty(n_patterns)
    for p in range(first, last):
        law, beta, n = laws[p], betas[p], out_n[p]
        for r in range(n_rows):
            weights[r] = level_weights[law, levels[r]]
        n[:] = starts[p]
        steps, converged = settle(
            values, weights, noise[law], beta, max_steps, n, trial, sums, slopes, work, spare, step, nothing
        )
        out_steps[p] = steps if converged else -steps
        if not converged:
            row_sums(values, weights, noise[law], n, beta, sums, slopes)
        eigen(slopes, work)
        largest = slopes[0, 0]
        for k in range(n_patterns):
            largest = max(largest, slopes[k, k])
        out_stability[p] = largest if largest < TOO_STEEP else np.inf
        out_free_energy[p] = row_free_energy(values, weights, noise[law], zero_weights[law], n, beta)


@jit
def solve_few_points(
    values,
    levels,
    level_weights,
    zero_weights,
    noise,
    laws,
    betas,
    starts,
    max_steps,
    out_n,
    out_stability,
    out_free_energy,
    out_steps,
):
    """``solve_points`` in the calling thread: faster for a few points than waking others."""
    solve_some(
        0,
        betas.shape[0],
        values,
        levels,
        level_weights,
        zero_weights,
        noise,
        laws,
        betas,
        starts,
        max_steps,
        out_n,
        out_stability,
        out_free_energy,
        out_steps,
    )


@jit(parallel=True)
def solve_points(
    values,
    levels,
    level_weights,
    zero_weights,
    noise,
    laws,
    betas,
    starts,
    max_steps,
    out_n,
    out_stability,
    out_free_energy,
    out_steps,
):
    """Solve n = F(n) at many points: threads over points.

    Parameters
    ----------
    values : float64 (n_rows, n_patterns)
    levels : int64 (n_rows,)
        Which of a law's weights each row has: the number of its non-zero entries, say.
    level_weights : float64 (n_laws, n_levels)
    zero_weights : float64 (n_laws,)
        Weight of the row of zeros.
    noise : float64 (n_laws, n_patterns)
    laws : int64 (n_points,)
    betas : float64 (n_points,)
    starts : float64 (n_points, n_patterns)
    max_steps : int
    out_n : float64 (n_points, n_patterns)
    out_stability : float64 (n_points,)
        Largest eigenvalue of A: stable below 1.
    out_free_energy : float64 (n_points,)
    out_steps : int64 (n_points,)
        Evaluations of F; minus that number where it did not converge.
    """
    n_points = betas.shape[0]
    for task in prange((n_points + POINTS_PER_TASK - 1) // POINTS_PER_TASK):
        solve_some(
            task * POINTS_PER_TASK,
            min(n_points, (task + 1) * POINTS_PER_TASK),
            values,
            levels,
            level_weights,
            zero_weights,
            noise,
            laws,
            betas,
            starts,
            max_steps,
            out_n,
            out_stability,
            out_free_energy,
            out_steps,
        )
