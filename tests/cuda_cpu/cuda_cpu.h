// Runs kernels written in CUDA C++ on one CPU thread, for tests.
//
// Blocks run one after another.  The threads of a block run one after another too, each until it ends or meets a
// barrier; one that waits keeps its fiber (ucontext), and the next thread gets another.  So a kernel without barriers
// is a plain loop, and one with barriers costs about a microsecond per wait.  The order of blocks and of threads is
// forward, reversed or shuffled anew at each turn: a kernel that lacks a barrier gives other results in another order.
//
// Reported: a __syncthreads that part of the block misses, threads that meet at different ones, lanes of a warp that
// wait for others which never come, arguments of another size than the kernel's, writes past dynamic shared memory,
// and, with NM_WATCH, races (races.h).  Shared memory is filled with 0xCD before each block.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define NM_EXPORT __attribute__((visibility("default")))
// All static shared variables lie in one section, whose bounds the linker tells us, so that they can be filled.
#define __shared__ static __attribute__((section("nm_shared")))
extern unsigned char __start_nm_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_nm_shared[] __attribute__((weak, visibility("hidden")));

struct dim3 {
    unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

namespace nm {

using std::size_t;
using std::uint64_t;

constexpr unsigned char FILL = 0xCD;
constexpr size_t GUARD = 64;              // bytes behind dynamic shared memory that no kernel may change
constexpr size_t STACK = 256 * 1024;      // bytes of a fiber's stack
constexpr int FORWARD = 0, REVERSED = 1;  // any other order: shuffled

enum Wait { RUNS, AT_BLOCK_BARRIER, AT_WARP_BARRIER };

struct Thread {
    dim3 index;
    bool done;
    Wait wait;
    int line;              // of the block barrier
    unsigned mask;         // lanes that the warp barrier is for
    const char* function;  // which has the warp barrier inside
    int fiber;             // that keeps the thread while it waits
    int block_barriers, warp_barriers, warp_meetings;  // clocks: they go on when such a barrier is passed
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    void* fake_stack = nullptr;  // the address sanitizer's
};

static std::vector<Thread> threads;
static std::vector<Fiber> fibers;
static std::vector<int> idle, order;
static ucontext_t scheduler;
static void* scheduler_fake_stack;
static const void* scheduler_stack;
static size_t scheduler_stack_size;
static int current = -1, running = -1;  // thread and fiber
static bool in_kernel;
static size_t next_in_order;
static int order_mode;
static std::mt19937 generator;
static std::string error;
static void (*body)(void*);
static void* body_arguments;
static unsigned char* shared;            // dynamic shared memory of the block
static uint64_t exchanged[1024];         // what lanes of a warp and threads of a block show one another

[[noreturn]] static void fail(const std::string& message);

struct Argument {
    void* value;     // where a scalar, or an array's address, is found
    size_t bytes;    // of the whole
    int item_bytes;  // of a scalar, or of an array's elements
    int is_array;
};
}  // namespace nm

#ifdef NM_WATCH
#include "races.h"
#else
namespace nm {
static void watch_launch(const Argument*, int) {}
static void watch_block(size_t) {}
static void watch_atomic(const void*, size_t) {}
}  // namespace nm
#endif

namespace nm {

// ---------------------------------------------------------------- switching between fibers

static void to_scheduler(bool for_good = false) {
    Fiber& mine = fibers[running];
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(for_good ? nullptr : &mine.fake_stack, scheduler_stack, scheduler_stack_size);
#endif
    swapcontext(&mine.context, &scheduler);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(mine.fake_stack, nullptr, nullptr);
#endif
}

static void to_fiber(int number) {
    running = number;
    Fiber& fiber = fibers[number];
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&scheduler_fake_stack, fiber.stack.get(), STACK);
#endif
    in_kernel = true;
    swapcontext(&scheduler, &fiber.context);
    in_kernel = false;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
}

// What a fiber does for ever: start the threads that have not begun, one after another, until none is left.
static void work() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
#endif
    for (;;) {
        while (next_in_order < order.size()) {
            current = order[next_in_order++];
            threadIdx = threads[current].index;
            body(body_arguments);
            threads[current].done = true;
        }
        idle.push_back(running);
        to_scheduler();
    }
}

static int idle_fiber() {
    if (idle.empty()) {
        fibers.emplace_back();
        Fiber& fiber = fibers.back();
        fiber.stack.reset(new char[STACK]);
        idle.push_back(static_cast<int>(fibers.size()) - 1);
    }
    const int number = idle.back();
    idle.pop_back();
    Fiber& fiber = fibers[number];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, work, 0);
    return number;
}

// Give up the launch; the thread that found the fault never goes on.
[[noreturn]] static void fail(const std::string& message) {
    error = message;
    to_scheduler(true);
    __builtin_unreachable();
}

static void wait_here(Wait wait, int line, unsigned mask, const char* function) {
    const int me = current;
    Thread& thread = threads[me];
    thread.wait = wait;
    thread.line = line;
    thread.mask = mask;
    thread.function = function;
    thread.fiber = running;
    to_scheduler();
    current = me;
    threadIdx = thread.index;
}

static void block_barrier(int line) {
    wait_here(AT_BLOCK_BARRIER, line, 0, "__syncthreads");
}

static void warp_barrier(unsigned mask, const char* function) {
    if (!(mask >> (current & 31) & 1)) fail(std::string(function) + " is called by a lane that its mask leaves out");
    wait_here(AT_WARP_BARRIER, 0, mask, function);
}

// ---------------------------------------------------------------- one block

static std::string name_of(int thread) {
    return "thread " + std::to_string(thread);
}

static int n_threads() {
    return static_cast<int>(threads.size());
}

// Let those lanes go on that wait for nobody else.  Lanes that have ended are not waited for, as on a device.
static bool release_warps() {
    bool released = false;
    for (int first = 0; first < n_threads(); first += 32) {
        const int end = std::min(first + 32, n_threads());
        unsigned ready = 0, awake = 0;
        bool together = true;  // the common case, which needs no look at every pair of lanes
        for (int i = first; i < end; ++i) {
            const Thread& thread = threads[i];
            if (thread.done) continue;
            awake |= 1u << (i - first);
            together = together && thread.wait == AT_WARP_BARRIER && thread.mask == 0xFFFFFFFFu &&
                       thread.function == threads[first].function;
        }
        if (together) ready = awake;
        for (int i = first; i < end && !together; ++i) {
            if (threads[i].done || threads[i].wait != AT_WARP_BARRIER) continue;
            bool all = true;
            for (int j = first; j < end; ++j) {
                const bool awaited = threads[i].mask >> (j - first) & 1 && !threads[j].done;
                const bool here = threads[j].wait == AT_WARP_BARRIER && threads[j].mask == threads[i].mask;
                if (awaited && !here) all = false;
                if (awaited && here && strcmp(threads[i].function, threads[j].function)) {
                    error = name_of(i) + " waits in " + threads[i].function + ", " + name_of(j) + " of its warp in " +
                            threads[j].function;
                    return false;
                }
            }
            if (all) ready |= 1u << (i - first);
        }
        int met = 0, ordered = 0;  // lanes that met have one clock from there on, however often each met others before
        for (int i = first; i < end; ++i) {
            if (!(ready >> (i - first) & 1)) continue;
            met = std::max(met, threads[i].warp_meetings + 1);
            ordered = std::max(ordered, threads[i].warp_barriers + 1);
        }
        for (int i = first; i < end; ++i) {
            if (!(ready >> (i - first) & 1)) continue;
            threads[i].wait = RUNS;
            threads[i].warp_meetings = met;
            if (!strcmp(threads[i].function, "__syncwarp")) threads[i].warp_barriers = ordered;
            released = true;
        }
    }
    return released;
}

static std::string at_barrier(int thread) {
    return name_of(thread) + " waits at the __syncthreads of line " + std::to_string(threads[thread].line);
}

static void release_block() {
    int inside = -1, ended = -1;
    for (int i = 0; i < n_threads(); ++i) {
        if (threads[i].done) {
            ended = i;
        } else if (threads[i].wait == AT_WARP_BARRIER) {
            error = name_of(i) + " waits in " + threads[i].function + " for lanes of its warp that never come";
            return;
        } else if (inside >= 0 && threads[inside].line != threads[i].line) {
            error = at_barrier(inside) + ", " + name_of(i) + " at that of line " + std::to_string(threads[i].line);
            return;
        } else {
            inside = i;
        }
    }
    if (inside < 0) return;
    if (ended >= 0) {
        error = at_barrier(inside) + ", which " + name_of(ended) + " ended without";
        return;
    }
    for (Thread& thread : threads) {
        thread.wait = RUNS;
        ++thread.block_barriers;
    }
}

static void arrange() {
    if (order_mode != FORWARD && order_mode != REVERSED) std::shuffle(order.begin(), order.end(), generator);
}

static void run_block() {
    const int n = n_threads();
    order.resize(n);
    for (int i = 0; i < n; ++i) {
        const unsigned flat = i;
        order[i] = order_mode == REVERSED ? n - 1 - i : i;
        threads[i] = Thread{};
        threads[i].index = {flat % blockDim.x, flat / blockDim.x % blockDim.y, flat / blockDim.x / blockDim.y};
    }
    arrange();
    next_in_order = 0;
    while (next_in_order < order.size() && error.empty()) to_fiber(idle_fiber());
    while (error.empty()) {
        if (!release_warps() && error.empty()) release_block();
        if (!error.empty()) return;
        arrange();
        bool ran = false;
        for (int i : order) {
            if (threads[i].done || threads[i].wait != RUNS) continue;
            to_fiber(threads[i].fiber);
            if (!error.empty()) return;
            ran = true;
        }
        if (!ran) return;
    }
}

// ---------------------------------------------------------------- a launch

// A scalar has the kernel's size; an array may be read in smaller pieces than its items, never in larger ones.
template <class T>
static void check_argument(const Argument& given, int number) {
    constexpr bool pointer = std::is_pointer_v<T>;
    using Item = std::conditional_t<std::is_void_v<std::remove_pointer_t<T>>, char, std::remove_pointer_t<T>>;
    const int wanted = sizeof(Item);
    const std::string name = "argument " + std::to_string(number);
    if (!given.is_array == pointer) {
        error = name + (pointer ? " is a scalar, no array" : " is an array, no scalar");
    } else if (pointer ? given.item_bytes % wanted : given.item_bytes != wanted) {
        error = name + " has " + std::to_string(given.item_bytes) + " bytes per item, the kernel's has " +
                std::to_string(wanted);
    }
}

template <class... A, size_t... I>
static void check_arguments(const Argument* given, std::index_sequence<I...>) {
    ((error.empty() ? check_argument<A>(given[I], I) : void()), ...);
}

template <class... A>
struct Call {
    void (*kernel)(A...);
    const Argument* given;

    template <size_t... I>
    void unpack(std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_reference_t<A>*>(given[I].value)...);
    }
};

static void fill_shared(size_t bytes, size_t guard) {
    memset(shared, FILL, bytes + guard);
    if (__start_nm_shared != __stop_nm_shared) memset(__start_nm_shared, FILL, __stop_nm_shared - __start_nm_shared);
}

static void run_grid(size_t shared_bytes) {
#ifdef __SANITIZE_ADDRESS__
    const size_t guard = 0;  // the sanitizer has its own, and sees reads too
#else
    const size_t guard = GUARD;
#endif
    std::unique_ptr<unsigned char[]> memory(new unsigned char[shared_bytes + guard]);
    shared = memory.get();
    std::vector<uint64_t> blocks(static_cast<uint64_t>(gridDim.x) * gridDim.y * gridDim.z);
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = order_mode == REVERSED ? blocks.size() - 1 - i : i;
    if (order_mode != FORWARD && order_mode != REVERSED) std::shuffle(blocks.begin(), blocks.end(), generator);
    for (uint64_t flat : blocks) {
        blockIdx.x = static_cast<unsigned>(flat % gridDim.x);
        blockIdx.y = static_cast<unsigned>(flat / gridDim.x % gridDim.y);
        blockIdx.z = static_cast<unsigned>(flat / gridDim.x / gridDim.y);
        fill_shared(shared_bytes, guard);
        watch_block(shared_bytes);
        run_block();
        for (size_t i = 0; i < guard && error.empty(); ++i)
            if (shared[shared_bytes + i] != FILL) error = "a write past the end of dynamic shared memory";
        if (error.empty()) continue;
        error += " (block " + std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ", " +
                 std::to_string(blockIdx.z) + ")";
        return;
    }
}

// Returns what went wrong, or null.
template <class... A>
static const char* launch(void (*kernel)(A...), const unsigned* sizes, size_t shared_bytes, const Argument* given,
                          int n_given, int order_wanted) {
    error.clear();
    if (n_given != static_cast<int>(sizeof...(A))) {
        error = std::to_string(n_given) + " arguments, the kernel has " + std::to_string(sizeof...(A));
        return error.c_str();
    }
    check_arguments<A...>(given, std::index_sequence_for<A...>{});
    if (!error.empty()) return error.c_str();
    Call<A...> call{kernel, given};
    body_arguments = &call;
    body = [](void* data) { static_cast<Call<A...>*>(data)->unpack(std::index_sequence_for<A...>{}); };
    gridDim = {sizes[0], sizes[1], sizes[2]};
    blockDim = {sizes[3], sizes[4], sizes[5]};
    threads.resize(static_cast<size_t>(blockDim.x) * blockDim.y * blockDim.z);
    fibers.reserve(threads.size() + 1);  // a fiber that runs must not move
    order_mode = order_wanted;
    generator.seed(12345);
    watch_launch(given, n_given);
    run_grid(shared_bytes);
    if (error.empty()) return nullptr;
    fibers.clear();  // those of threads that never ended are of no use any more
    idle.clear();
    return error.c_str();
}
}  // namespace nm

#include "intrinsics.h"
