// Products of the vectors of field tuples, x [F, D, B] -> sum over d of weight * product [G, B], or the products [G, D, B].
//
// Computed tuple by tuple in torch, every vector is copied for each tuple that it stands in, and every product is written
// and read again. Here the vectors of a block of rows are laid side by side, small enough for a core's own cache; all
// tuples read them there, and sums stay in registers.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

namespace {

// Sixteen rows of one number. Processors with narrower registers take it in parts.
typedef float Rows __attribute__((vector_size(64)));
constexpr int64_t LANES = 4;
constexpr int64_t BLOCK = LANES * 16;
constexpr int64_t MOST_FACTORS = 8;

struct Work {
    int64_t fields, dim, rows, tuples;
    const int64_t* places;  // [order, tuples], positions into fields
    const float* x;         // [fields, dim, rows]
    const float* weights;   // [tuples, dim], or null for ones
    float* output;          // [tuples, rows] where summed, else [tuples, dim, rows]; of the forward pass
    const float* grad;      // as output
    float* grad_x;          // as x
    float* grad_weights;    // [shares, tuples, dim]: each share of the rows adds up its own; null without weights
    int32_t order, summed, back, shares, threads;
    // GOMP_parallel of the OpenMP that torch uses, or null.
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
};

// A part of the work's rows. x, grad_x: [fields, dim, BLOCK] of those rows, zeros behind the last.
struct Block {
    const Rows* x;
    Rows* grad_x;
    int64_t begin, width;
    float* grad_weights;
};

#define INLINE __attribute__((always_inline)) inline

INLINE void load(Rows* to, const float* from, int64_t width) {
    if (width == BLOCK) {
        std::memcpy(to, from, sizeof(Rows) * LANES);
    } else {
        std::memset(to, 0, sizeof(Rows) * LANES);
        std::memcpy(to, from, sizeof(float) * width);
    }
}

INLINE void store(float* to, const Rows* from, int64_t width) {
    std::memcpy(to, from, width == BLOCK ? sizeof(Rows) * LANES : sizeof(float) * width);
}

INLINE float sum_of(const Rows& rows) {
    typedef float Half __attribute__((vector_size(32)));
    typedef float Quarter __attribute__((vector_size(16)));
    Half halves[2];
    std::memcpy(halves, &rows, sizeof rows);
    const Half half = halves[0] + halves[1];
    Quarter quarters[2];
    std::memcpy(quarters, &half, sizeof half);
    const Quarter quarter = quarters[0] + quarters[1];
    return (quarter[0] + quarter[1]) + (quarter[2] + quarter[3]);
}

// ORDER 0 stands for any; others let the compiler unroll.
template <int ORDER, bool WEIGHTED, bool SUMMED>
INLINE void forward(const Work& work, const Block& block) {
    const int64_t order = ORDER ? ORDER : work.order, dim = work.dim;
    for (int64_t g = 0; g < work.tuples; ++g) {
        const Rows* factors[MOST_FACTORS];
        for (int64_t r = 0; r < order; ++r) factors[r] = block.x + work.places[r * work.tuples + g] * dim * LANES;
        Rows sum[LANES] = {};
        for (int64_t d = 0; d < dim; ++d) {
            Rows product[LANES];
            for (int64_t l = 0; l < LANES; ++l) {
                product[l] = factors[0][d * LANES + l] * factors[1][d * LANES + l];
                for (int64_t r = 2; r < order; ++r) product[l] *= factors[r][d * LANES + l];
                if (WEIGHTED) product[l] *= work.weights[g * dim + d];
                if (SUMMED) sum[l] += product[l];
            }
            if (!SUMMED) store(work.output + (g * dim + d) * work.rows + block.begin, product, block.width);
        }
        if (SUMMED) store(work.output + g * work.rows + block.begin, sum, block.width);
    }
}

template <int ORDER, bool WEIGHTED, bool SUMMED>
INLINE void backward(const Work& work, const Block& block) {
    const int64_t order = ORDER ? ORDER : work.order, dim = work.dim;
    for (int64_t g = 0; g < work.tuples; ++g) {
        const Rows* factors[MOST_FACTORS];
        Rows* moved[MOST_FACTORS];
        for (int64_t r = 0; r < order; ++r) {
            const int64_t start = work.places[r * work.tuples + g] * dim * LANES;
            factors[r] = block.x + start;
            moved[r] = block.grad_x + start;
        }
        Rows grad[LANES];
        if (SUMMED) load(grad, work.grad + g * work.rows + block.begin, block.width);
        for (int64_t d = 0; d < dim; ++d) {
            if (!SUMMED) load(grad, work.grad + (g * dim + d) * work.rows + block.begin, block.width);
            Rows along = {};
            for (int64_t l = 0; l < LANES; ++l) {
                const int64_t at = d * LANES + l;
                const Rows share = WEIGHTED ? grad[l] * work.weights[g * dim + d] : grad[l];
                if (WEIGHTED) {
                    Rows product = factors[0][at] * factors[1][at];
                    for (int64_t r = 2; r < order; ++r) product *= factors[r][at];
                    along += grad[l] * product;
                }
                // A field may stand twice in a tuple, so each is written before the next is read.
                for (int64_t r = 0; r < order; ++r) {
                    Rows others = share;
                    for (int64_t s = 0; s < order; ++s) {
                        if (s != r) others *= factors[s][at];
                    }
                    moved[r][at] += others;
                }
            }
            if (WEIGHTED) block.grad_weights[g * dim + d] += sum_of(along);
        }
    }
}

template <int ORDER>
INLINE void pass(const Work& work, const Block& block) {
    const bool weighted = work.weights != nullptr, summed = work.summed != 0;
    if (!work.back) {
        if (weighted) summed ? forward<ORDER, true, true>(work, block) : forward<ORDER, true, false>(work, block);
        else summed ? forward<ORDER, false, true>(work, block) : forward<ORDER, false, false>(work, block);
    } else {
        if (weighted) summed ? backward<ORDER, true, true>(work, block) : backward<ORDER, true, false>(work, block);
        else summed ? backward<ORDER, false, true>(work, block) : backward<ORDER, false, false>(work, block);
    }
}

// For the widest vectors that the processor has; chosen when the library is loaded.
__attribute__((target_clones("avx512f", "avx2", "default")))
void run_block(const Work& work, const Block& block) {
    switch (work.order) {
        case 2: pass<2>(work, block); break;
        case 3: pass<3>(work, block); break;
        default: pass<0>(work, block);
    }
}

// The blocks of one share of the rows, one after another. False where memory is short.
bool run_share(const Work& work, int64_t share) {
    const int64_t blocks = (work.rows + BLOCK - 1) / BLOCK;
    const int64_t first = blocks * share / work.shares, last = blocks * (share + 1) / work.shares;
    const int64_t vectors = work.fields * work.dim;
    const bool back = work.back != 0;
    Rows* const x = static_cast<Rows*>(std::aligned_alloc(64, sizeof(Rows) * LANES * vectors * (back ? 2 : 1)));
    if (x == nullptr) return false;
    Rows* const grad_x = x + LANES * vectors;
    float* grad_weights = nullptr;
    if (back && work.grad_weights != nullptr) {
        grad_weights = work.grad_weights + share * work.tuples * work.dim;
        std::memset(grad_weights, 0, sizeof(float) * work.tuples * work.dim);
    }
    for (int64_t number = first; number < last; ++number) {
        const int64_t begin = number * BLOCK;
        const int64_t width = work.rows - begin < BLOCK ? work.rows - begin : BLOCK;
        for (int64_t v = 0; v < vectors; ++v) load(x + v * LANES, work.x + v * work.rows + begin, width);
        if (back) std::memset(grad_x, 0, sizeof(Rows) * LANES * vectors);
        run_block(work, {x, grad_x, begin, width, grad_weights});
        if (back) {
            for (int64_t v = 0; v < vectors; ++v) store(work.grad_x + v * work.rows + begin, grad_x + v * LANES, width);
        }
    }
    std::free(x);
    return true;
}

struct Call {
    const Work& work;
    int64_t next;
    int32_t failed;
    static void run(void* self) {
        Call& call = *static_cast<Call*>(self);
        for (;;) {
            const int64_t share = __atomic_fetch_add(&call.next, 1, __ATOMIC_RELAXED);
            if (share >= call.work.shares) return;
            if (!run_share(call.work, share)) __atomic_store_n(&call.failed, 1, __ATOMIC_RELAXED);
        }
    }
};

}  // namespace

// 0, or 1 where memory is short.
extern "C" int32_t fieldwise_tuple_products(const Work* work) {
    Call call{*work, 0, 0};
    const int32_t threads = work->threads < work->shares ? work->threads : work->shares;
    if (threads <= 1) {
        Call::run(&call);
    } else if (work->parallel) {
        work->parallel(Call::run, &call, unsigned(threads), 0);
    } else {
        std::vector<std::thread> others;
        try {
            for (int32_t i = 1; i < threads; ++i) others.emplace_back(Call::run, &call);
        } catch (const std::system_error&) {
            // As many as there are will do.
        }
        Call::run(&call);
        for (std::thread& other : others) other.join();
    }
    return call.failed;
}
