// Functions that CUDA C++ has built in, as far as kernels use them.  What compute capability 7.5 lacks is left out.
#pragma once

using std::max;
using std::min;

// ---------------------------------------------------------------- barriers

static inline void __syncthreads(int line = __builtin_LINE()) {
    nm::block_barrier(line);
}

static inline int __syncthreads_count(int predicate, int line = __builtin_LINE()) {
    nm::exchanged[nm::current] = predicate != 0;
    nm::block_barrier(line);
    int count = 0;
    for (int i = 0; i < nm::n_threads(); ++i) count += static_cast<int>(nm::exchanged[i]);
    nm::block_barrier(line);
    return count;
}

static inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) {
    return __syncthreads_count(predicate, line) > 0;
}

static inline int __syncthreads_and(int predicate, int line = __builtin_LINE()) {
    return __syncthreads_count(predicate, line) == nm::n_threads();
}

static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
    nm::warp_barrier(mask, "__syncwarp");
}

static inline void __threadfence() {}
static inline void __threadfence_block() {}

// ---------------------------------------------------------------- warp functions

namespace nm {

// The value that a lane of this warp shows; from a lane that takes no part it is undefined, here 0xCD in every byte.
template <class T>
static T from_lane(T value, int source, unsigned mask, const char* function) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "at most eight bytes are exchanged");
    uint64_t word = 0;
    memcpy(&word, &value, sizeof value);
    exchanged[current] = word;
    warp_barrier(mask, function);
    const int thread = (current & ~31) + source;
    word = 0xCDCDCDCDCDCDCDCDull;
    if (mask >> source & 1 && thread < n_threads() && !threads[thread].done) word = exchanged[thread];
    warp_barrier(mask, function);
    T found;
    memcpy(&found, &word, sizeof found);
    return found;
}
}  // namespace nm

template <class T>
static T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int base = nm::current & 31 & ~(width - 1);
    return nm::from_lane(value, base + (source & (width - 1)), mask, "__shfl_sync");
}

template <class T>
static T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = nm::current & 31, within = lane & (width - 1);
    const int source = within + static_cast<int>(delta) < width ? lane + static_cast<int>(delta) : lane;
    return nm::from_lane(value, source, mask, "__shfl_down_sync");
}

template <class T>
static T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = nm::current & 31, within = lane & (width - 1);
    const int source = within >= static_cast<int>(delta) ? lane - static_cast<int>(delta) : lane;
    return nm::from_lane(value, source, mask, "__shfl_up_sync");
}

template <class T>
static T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    const int lane = nm::current & 31, source = lane ^ lanes;
    const bool later = source >= (lane & ~(width - 1)) + width;
    return nm::from_lane(value, later ? lane : source & 31, mask, "__shfl_xor_sync");
}

static inline unsigned __ballot_sync(unsigned mask, int predicate) {
    nm::exchanged[nm::current] = predicate != 0;
    nm::warp_barrier(mask, "__ballot_sync");
    const int first = nm::current & ~31;
    unsigned found = 0;
    for (int i = first; i < std::min(first + 32, nm::n_threads()); ++i)
        if (mask >> (i & 31) & 1 && !nm::threads[i].done) found |= static_cast<unsigned>(nm::exchanged[i]) << (i & 31);
    nm::warp_barrier(mask, "__ballot_sync");
    return found;
}

static inline int __any_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0;
}

static inline int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, !predicate) == 0;
}

// ---------------------------------------------------------------- bits and numbers

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}

namespace nm {

template <class To, class From>
static To bits_as(From value) {
    static_assert(sizeof(To) == sizeof(From), "the same number of bytes");
    To found;
    memcpy(&found, &value, sizeof found);
    return found;
}
}  // namespace nm

static inline double __longlong_as_double(long long x) { return nm::bits_as<double>(x); }
static inline long long __double_as_longlong(double x) { return nm::bits_as<long long>(x); }
static inline float __int_as_float(int x) { return nm::bits_as<float>(x); }
static inline int __float_as_int(float x) { return nm::bits_as<int>(x); }
static inline float __uint_as_float(unsigned x) { return nm::bits_as<float>(x); }
static inline unsigned __float_as_uint(float x) { return nm::bits_as<unsigned>(x); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }

template <class T>
static T __ldg(const T* place) {
    return *place;
}

// ---------------------------------------------------------------- atomics: plain updates, since one thread runs at a time

#define NM_ATOMIC(name, type, update)                                                              \
    __attribute__((no_sanitize("thread"))) static inline type name(type* place, type value) {     \
        nm::watch_atomic(place, sizeof(type));                                                     \
        const type old = *place;                                                                   \
        *place = (update);                                                                         \
        return old;                                                                                \
    }
// uint64_t is "unsigned long" for this compiler and "unsigned long long" for a device's
#define NM_ATOMIC_WHOLE(name, update)              \
    NM_ATOMIC(name, int, update)                   \
    NM_ATOMIC(name, unsigned, update)              \
    NM_ATOMIC(name, unsigned long, update)         \
    NM_ATOMIC(name, unsigned long long, update)
NM_ATOMIC_WHOLE(atomicAdd, old + value)
NM_ATOMIC(atomicAdd, float, old + value)
NM_ATOMIC(atomicAdd, double, old + value)
NM_ATOMIC(atomicSub, int, old - value)
NM_ATOMIC(atomicSub, unsigned, old - value)
NM_ATOMIC_WHOLE(atomicMax, old < value ? value : old)
NM_ATOMIC(atomicMax, long, old < value ? value : old)
NM_ATOMIC(atomicMax, long long, old < value ? value : old)
NM_ATOMIC_WHOLE(atomicMin, value < old ? value : old)
NM_ATOMIC(atomicMin, long, value < old ? value : old)
NM_ATOMIC(atomicMin, long long, value < old ? value : old)
NM_ATOMIC_WHOLE(atomicAnd, old & value)
NM_ATOMIC_WHOLE(atomicOr, old | value)
NM_ATOMIC_WHOLE(atomicXor, old ^ value)
NM_ATOMIC_WHOLE(atomicExch, value)
NM_ATOMIC(atomicExch, float, value)

#define NM_ATOMIC_CAS(type)                                                                                         \
    __attribute__((no_sanitize("thread"))) static inline type atomicCAS(type* place, type compare, type value) {   \
        nm::watch_atomic(place, sizeof(type));                                                                      \
        const type old = *place;                                                                                    \
        if (old == compare) *place = value;                                                                         \
        return old;                                                                                                 \
    }
NM_ATOMIC_CAS(int)
NM_ATOMIC_CAS(unsigned)
NM_ATOMIC_CAS(unsigned long)
NM_ATOMIC_CAS(unsigned long long)
