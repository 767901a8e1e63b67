// Sparsey's encoders on the GPU: the arithmetic of neuromem/sparsey/kernels/encode.py, with its bits.
#include "common.cuh"

#define NM_ALL 0xFFFFFFFFu

__device__ __forceinline__ int nm_octant(int gx, int gy) {
    const int ax = gx < 0 ? -gx : gx, ay = gy < 0 ? -gy : gy;
    const int both = (ax + ay) * (ax + ay);
    if (both < 2 * ax * ax) return gx < 0 ? 0 : 4;
    if (both < 2 * ay * ay) return gy < 0 ? 2 : 6;
    return gy < 0 ? (gx < 0 ? 1 : 3) : (gx < 0 ? 7 : 5);
}

__device__ int nm_nearest_direction(int gx, int gy, const double* directions, int n_bins) {
    int best = 0;
    double top = directions[0] * gx + directions[1] * gy;
    const double first = top;
    for (int k = 1; k < n_bins; ++k) {
        const double product = directions[2 * k] * gx + directions[2 * k + 1] * gy;
        if (product >= top) {
            best = k;
            top = product;
        }
    }
    // two bins tie on both sides: gy tells which
    return best == n_bins - 1 && first >= top && (n_bins > 2 || gy > 0) ? 0 : best;
}

extern "C" {

// A block a picture: moments of rows side by side, their sum in the CPU's order, then every pixel of the sheared picture.
__global__ void nm_sparsey_deskew(const uint8_t* images, int64_t n_images, int32_t rows, int32_t columns, int64_t scratch_words,
                                  uint64_t* scratch, uint8_t* out_images) {
    extern __shared__ int64_t shared_moments[];
    // ink and first moment of every row, then the slant
    int64_t* moments = scratch_words ? reinterpret_cast<int64_t*>(scratch) + blockIdx.x * scratch_words : shared_moments;
    int64_t* row_mass = moments;
    int64_t* row_sum = moments + rows;
    double* slant = reinterpret_cast<double*>(moments + 2 * rows);
    const int64_t size = static_cast<int64_t>(rows) * columns;
    for (int64_t n = blockIdx.x; n < n_images; n += gridDim.x) {
        const uint8_t* image = images + n * size;
        uint8_t* out = out_images + n * size;
        for (int y = threadIdx.x; y < rows; y += blockDim.x) {
            int64_t ink = 0, moment = 0;
            for (int x = 0; x < columns; ++x) {
                const int64_t value = image[static_cast<int64_t>(y) * columns + x];
                ink += value;
                moment += value * x;
            }
            row_mass[y] = ink;
            row_sum[y] = moment;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            double mass = 0.0, sum_x = 0.0, sum_y = 0.0, mu11 = 0.0, mu02 = 0.0;
            for (int y = 0; y < rows; ++y) {
                mass += static_cast<double>(row_mass[y]);
                sum_x += static_cast<double>(row_sum[y]);
                sum_y += static_cast<double>(row_mass[y] * y);
            }
            const double centre_x = sum_x / mass, centre_y = sum_y / mass;
            for (int y = 0; y < rows && mass > 0.0; ++y) {
                const double ink = static_cast<double>(row_mass[y]);
                mu11 += (static_cast<double>(row_sum[y]) - centre_x * ink) * (y - centre_y);
                mu02 += ink * (y - centre_y) * (y - centre_y);
            }
            slant[0] = mu02;
            slant[1] = mu11 / mu02;
        }
        __syncthreads();
        const bool upright = slant[0] < 1e-2;  // the vertical second moment below which a picture has no slant
        for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
            const int y = static_cast<int>(i / columns), x = static_cast<int>(i % columns);
            const uint8_t* line = image + static_cast<int64_t>(y) * columns;
            if (upright) {
                out[i] = line[x];
                continue;
            }
            const double shift = slant[1] * (y - rows / 2.0), whole = floor(shift);
            if (row_mass[y] == 0 || whole > columns || whole < -columns) {
                out[i] = 0;
                continue;
            }
            const double right = shift - whole, left = 1.0 - right;
            const int source = x + static_cast<int>(whole);
            double value = 0.0;
            if (source >= 0 && source + 1 < columns) {
                value = left * line[source] + right * line[source + 1] + 0.5;
            } else if (source == -1) {
                value = right * line[0] + 0.5;
            } else if (source == columns - 1) {
                value = left * line[columns - 1] + 0.5;
            }
            out[i] = static_cast<uint8_t>(static_cast<int>(value));
        }
        __syncthreads();
    }
}

// A warp a picture, 32 neighbouring pixels at a time, so that edges are listed in the order of the pixels.
__global__ void nm_sparsey_edges(const uint8_t* images, int64_t n_images, int32_t rows, int32_t columns, int64_t limit,
                                 const double* directions, int32_t n_bins, int64_t most, int32_t* out_indices,
                                 int64_t* out_counts) {
    const int lane = threadIdx.x & 31, inner = columns - 2;
    const int64_t n_warps = static_cast<int64_t>(gridDim.x) * (blockDim.x >> 5);
    const int64_t size = static_cast<int64_t>(rows) * columns, n_inner = static_cast<int64_t>(nm_max(0, rows - 2)) * nm_max(0, inner);
    for (int64_t n = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) >> 5; n < n_images; n += n_warps) {
        const uint8_t* image = images + n * size;
        int32_t* out = out_indices + n * most;
        int64_t count = 0;
        for (int64_t start = 0; start < n_inner; start += 32) {
            const int64_t i = start + lane;
            bool edge = false;
            int feature = 0;
            if (i < n_inner) {
                const int64_t pixel = (i / inner + 1) * columns + i % inner + 1;
                const uint8_t *above = image + pixel - columns, *here = image + pixel, *below = image + pixel + columns;
                const int gx = (above[1] + 2 * here[1] + below[1]) - (above[-1] + 2 * here[-1] + below[-1]);
                const int gy = (below[-1] - above[-1]) + 2 * (below[0] - above[0]) + (below[1] - above[1]);
                edge = gx * gx + gy * gy > limit;
                if (edge) {
                    const int bin = n_bins == 8 ? nm_octant(gx, gy) : nm_nearest_direction(gx, gy, directions, n_bins);
                    feature = static_cast<int>(bin * size + pixel);
                }
            }
            const uint32_t found = __ballot_sync(NM_ALL, edge);
            if (edge) out[count + __popc(found & ((1u << lane) - 1u))] = feature;
            count += __popc(found);
        }
        if (lane == 0) out_counts[n] = count;
    }
}

// A warp a list.
__global__ void nm_sparsey_gather_lists(const int32_t* lists, int64_t n_lists, int64_t most, const int64_t* starts,
                                        int32_t* out_indices) {
    const int lane = threadIdx.x & 31;
    const int64_t n_warps = static_cast<int64_t>(gridDim.x) * (blockDim.x >> 5);
    for (int64_t n = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) >> 5; n < n_lists; n += n_warps) {
        const int64_t begin = starts[n];
        for (int64_t j = lane; j < starts[n + 1] - begin; j += 32) out_indices[begin + j] = lists[n * most + j];
    }
}
}
