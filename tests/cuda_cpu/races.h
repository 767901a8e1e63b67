// Which threads touch one place with no barrier between, at least one of them writing and not both by an atomic.
//
// The kernels are compiled with -fsanitize=thread, which calls a function before every read and write.  These functions
// are here instead of in the sanitizer's library: a CUDA thread is a thread of its own, whatever fiber it runs on.
// For each byte of the arrays and of shared memory the last write and the last two reads are kept.
#pragma once

#define NM_UNWATCHED __attribute__((no_sanitize("thread")))

namespace nm {

struct Access {
    bool any;
    bool atomic;
    uint64_t block;
    int thread, block_barriers, warp_barriers, warp_meetings;
};

struct Cell {
    Access write, read, other_read;
};

struct Region {
    const unsigned char* start;
    size_t bytes, item_bytes;
    int argument;  // its number, -1 for shared memory
    std::vector<Cell> cells;
};

static std::vector<Region> regions;
static Region* first_region;  // the same without the calls of a vector's functions, which are slow here: they are looked at too
static size_t n_regions;

NM_UNWATCHED static uint64_t flat_block() {
    const uint64_t row = blockIdx.y + static_cast<uint64_t>(gridDim.y) * blockIdx.z;
    return blockIdx.x + gridDim.x * row;
}

// Whether an earlier access is over, seen from the thread that runs now.  Votes and shuffles make the lanes of a warp
// meet, but do not promise that what one wrote before can be read after them: that takes __syncwarp.  What was read
// before them stays read.
NM_UNWATCHED static bool ordered(const Access& earlier, const Access& now, bool earlier_wrote) {
    if (!earlier.any) return true;
    if (earlier.block != now.block) return false;
    if (earlier.thread == now.thread || earlier.block_barriers < now.block_barriers) return true;
    if (earlier.thread / 32 != now.thread / 32) return false;
    return earlier_wrote ? earlier.warp_barriers < now.warp_barriers : earlier.warp_meetings < now.warp_meetings;
}

// Ends the launch at once: what a thread would do with a value that it should not have read may be anything.
NM_UNWATCHED static void report(const Region& region, size_t byte, const Access& earlier, bool wrote,
                                const char* verb) {
    const std::string where = region.argument < 0 ? "shared memory" : "argument " + std::to_string(region.argument);
    fail("race: thread " + std::to_string(current) + verb + "item " + std::to_string(byte / region.item_bytes) + " of " +
         where + ", which thread " + std::to_string(earlier.thread) + " of block " + std::to_string(earlier.block) +
         (wrote ? " wrote" : " read") + " with no barrier between");
}

NM_UNWATCHED static void look(const void* place, size_t bytes, bool writes, bool atomic) {
    const unsigned char* start = static_cast<const unsigned char*>(place);
    for (Region *each = first_region, *end = each + n_regions; each != end; ++each) {
        if (start < each->start || start >= each->start + each->bytes) continue;
        Region& region = *each;
        const Thread& thread = threads[current];
        const Access now{true, atomic, flat_block(), current, thread.block_barriers, thread.warp_barriers,
                         thread.warp_meetings};
        Cell* cells = region.cells.data();
        const size_t first = start - region.start;
        for (size_t byte = first; byte < first + bytes && byte < region.bytes; ++byte) {
            Cell& cell = cells[byte];
            const char* verb = atomic ? " updates " : writes ? " writes " : " reads ";
            const bool both_atomic = atomic && cell.write.atomic;
            if (!both_atomic && !ordered(cell.write, now, true)) report(region, byte, cell.write, true, verb);
            if (!writes) {
                if (!ordered(cell.read, now, false)) cell.other_read = cell.read;
                cell.read = now;
                continue;
            }
            if (!ordered(cell.read, now, false)) report(region, byte, cell.read, false, verb);
            if (!ordered(cell.other_read, now, false)) report(region, byte, cell.other_read, false, verb);
            cell.write = now;
            cell.read.any = cell.other_read.any = false;
        }
        return;
    }
}

NM_UNWATCHED static void watch(const void* place, size_t bytes, bool writes, bool atomic) {
    if (!in_kernel) return;
    in_kernel = false;  // library functions that are called from here are not looked at
    const char* stack = fibers[running].stack.get();
    const bool own = place >= stack && place < stack + STACK;  // seen by no other thread
    if (!own) look(place, bytes, writes, atomic);
    in_kernel = true;
}

NM_UNWATCHED static void watch_atomic(const void* place, size_t bytes) {
    watch(place, bytes, true, true);
}

// Shared memory is another one in each block.
NM_UNWATCHED static void watch_block(size_t shared_bytes) {
    while (!regions.empty() && regions.back().argument < 0) regions.pop_back();
    if (shared_bytes) regions.push_back({shared, shared_bytes, 1, -1, std::vector<Cell>(shared_bytes)});
    const size_t bytes = __stop_nm_shared - __start_nm_shared;
    if (bytes) regions.push_back({__start_nm_shared, bytes, 1, -1, std::vector<Cell>(bytes)});
    first_region = regions.data();
    n_regions = regions.size();
}

// An array may be passed twice: the first region that fits is taken.
NM_UNWATCHED static void watch_launch(const Argument* given, int n_given) {
    regions.clear();
    for (int i = 0; i < n_given; ++i) {
        if (!given[i].is_array) continue;
        const unsigned char* start = *static_cast<unsigned char* const*>(given[i].value);
        const size_t bytes = given[i].bytes;
        regions.push_back({start, bytes, static_cast<size_t>(given[i].item_bytes), i, std::vector<Cell>(bytes)});
    }
}
}  // namespace nm

#define NM_HOOKS(size)                                                                                      \
    NM_UNWATCHED void __tsan_read##size(void* place) { nm::watch(place, size, false, false); }              \
    NM_UNWATCHED void __tsan_write##size(void* place) { nm::watch(place, size, true, false); }              \
    NM_UNWATCHED void __tsan_unaligned_read##size(void* place) { nm::watch(place, size, false, false); }    \
    NM_UNWATCHED void __tsan_unaligned_write##size(void* place) { nm::watch(place, size, true, false); }
extern "C" {
NM_HOOKS(1)
NM_HOOKS(2)
NM_HOOKS(4)
NM_HOOKS(8)
NM_HOOKS(16)
NM_UNWATCHED void __tsan_read_range(void* place, unsigned long bytes) { nm::watch(place, bytes, false, false); }
NM_UNWATCHED void __tsan_write_range(void* place, unsigned long bytes) { nm::watch(place, bytes, true, false); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}
}
