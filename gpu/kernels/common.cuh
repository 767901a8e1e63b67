// Device functions that all kernels share.  Every operation is the one of neuromem/jit.py, in the same order, so that
// NumPy, Numba and the GPU give the same bits; nothing here asks the device's own mathematical functions.
#ifndef NM_COMMON_CUH
#define NM_COMMON_CUH

#ifdef __CUDACC_RTC__  // NVRTC has no <cstdint>
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#endif

template <class T>
__device__ __forceinline__ T nm_min(T a, T b) {
    return b < a ? b : a;
}

template <class T>
__device__ __forceinline__ T nm_max(T a, T b) {
    return a < b ? b : a;
}

// ---------------------------------------------------------------- bits

__device__ __forceinline__ int nm_popcount64(uint64_t x) {
    return __popcll(x);
}

// Position of the lowest set bit; x must not be 0.
__device__ __forceinline__ int nm_trailing_zeros64(uint64_t x) {
    return __ffsll(static_cast<long long>(x)) - 1;
}

// ---------------------------------------------------------------- Philox4x32-10 (Salmon et al., SC 2011)

struct nm_lanes {
    uint32_t lane[4];
};

// Ten rounds: four uint32 from a counter of four and a key of two.
__device__ __forceinline__ nm_lanes nm_philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                                  uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * c0;
        const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
        c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<uint32_t>(product1);
        c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<uint32_t>(product0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// A double in [0, 1) from two lanes.
__device__ __forceinline__ double nm_uniform53(uint32_t a, uint32_t b) {
    const double two26 = 67108864.0, two_53 = 1.1102230246251565e-16;
    return (static_cast<double>(a >> 5) * two26 + static_cast<double>(b >> 6)) * two_53;
}

// ---------------------------------------------------------------- exp and log without libm

#define NM_LN2_HIGH 0.693147180369123816490
#define NM_LN2_LOW 1.90821492927058770002e-10

__device__ __forceinline__ double nm_from_bits(uint64_t bits) {
    return __longlong_as_double(static_cast<long long>(bits));
}

__device__ __forceinline__ uint64_t nm_to_bits(double x) {
    return static_cast<uint64_t>(__double_as_longlong(x));
}

// e ** x from a fixed polynomial; inf above 709, 0 below -708.
__device__ __forceinline__ double nm_exp64(double x) {
    if (x > 709.0) return nm_from_bits(0x7FF0000000000000ull);
    if (x < -708.0) return 0.0;
    if (x != x) return x;
    const double k = floor(x * 1.4426950408889634 + 0.5);
    const double r = (x - k * NM_LN2_HIGH) - k * NM_LN2_LOW;
    double total = 1.0 / 6227020800.0;  // 1 / 13!, then down to 1 / 0!
    total = total * r + 1.0 / 479001600.0;
    total = total * r + 1.0 / 39916800.0;
    total = total * r + 1.0 / 3628800.0;
    total = total * r + 1.0 / 362880.0;
    total = total * r + 1.0 / 40320.0;
    total = total * r + 1.0 / 5040.0;
    total = total * r + 1.0 / 720.0;
    total = total * r + 1.0 / 120.0;
    total = total * r + 1.0 / 24.0;
    total = total * r + 1.0 / 6.0;
    total = total * r + 1.0 / 2.0;
    total = total * r + 1.0;
    total = total * r + 1.0;
    // k is from -1021 to 1023 here, so 2 ** k and the result are normal numbers and the product is exact
    return total * nm_from_bits(static_cast<uint64_t>(static_cast<int64_t>(k) + 1023) << 52);
}

// Mantissa from 0.5 up to 1 and exponent of 2, as frexp gives them.
__device__ __forceinline__ double nm_mantissa64(double x, int* exponent) {
    const uint64_t field = 0x7FF0000000000000ull;
    *exponent = 0;
    if (x == 0.0 || (nm_to_bits(x) & field) == field) return x;  // 0, inf and nan have none
    if ((nm_to_bits(x) & field) == 0) {                          // subnormal
        x *= 18014398509481984.0;                                // 2 ** 54
        *exponent = -54;
    }
    const uint64_t bits = nm_to_bits(x);
    *exponent += static_cast<int>((bits & field) >> 52) - 1022;
    return nm_from_bits((bits & ~field) | 0x3FE0000000000000ull);
}

// Natural logarithm of a positive number from a fixed polynomial.
__device__ __forceinline__ double nm_log64(double x) {
    int exponent;
    double mantissa = nm_mantissa64(x, &exponent);
    if (mantissa < 0.7071067811865476) {  // sqrt(1 / 2)
        mantissa = mantissa * 2.0;
        exponent = exponent - 1;
    }
    const double f = (mantissa - 1.0) / (mantissa + 1.0);
    const double s = f * f;
    double total = 1.0 / 21.0;
    total = total * s + 1.0 / 19.0;
    total = total * s + 1.0 / 17.0;
    total = total * s + 1.0 / 15.0;
    total = total * s + 1.0 / 13.0;
    total = total * s + 1.0 / 11.0;
    total = total * s + 1.0 / 9.0;
    total = total * s + 1.0 / 7.0;
    total = total * s + 1.0 / 5.0;
    total = total * s + 1.0 / 3.0;
    total = total * s + 1.0;
    const double e = static_cast<double>(exponent);
    return e * NM_LN2_HIGH + (2.0 * f * total + e * NM_LN2_LOW);
}

// x ** y for x >= 0 and y > 0; exactly 0 and 1 where x is.
__device__ __forceinline__ double nm_power64(double x, double y) {
    if (x == 0.0) return 0.0;
    if (x == 1.0) return 1.0;
    return nm_exp64(y * nm_log64(x));
}

#endif
