// Adam on some rows of an embedding table, in place and in one pass.
//
// A table of millions of rows lies in memory, not in a cache, and the rows of a batch are strewn over it: what takes time
// is waiting for them, three times for each row (weights, both moments). Reading them into tensors of their own, moving
// those and writing them back waits for each of them twice, one after another; here rows to come are fetched while the
// present one is computed.

#include <cmath>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace {

struct Step {
    int64_t count, dim;
    const int64_t* rows;  // [count], each once
    const float* grad;    // [count, dim]
    float* weight;        // [table rows, dim], and so are the moments
    float* first;
    float* second;
    float beta2, epsilon;
    float rest1, rest2;  // 1 - beta, which single precision cannot take from beta itself: of 0.999 it keeps four digits
    float rate;        // divided by the first moment's bias correction
    float correction;  // root of the second moment's
    int32_t threads;
    // GOMP_parallel of the OpenMP that torch uses, or null.
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
};

// Rows on their way to the cache: enough to cover a memory access, few enough for the processor's queue.
constexpr int64_t AHEAD = 12;
constexpr int64_t LINE = 64 / sizeof(float);

void fetch(const Step& step, int64_t row) {
    const int64_t start = row * step.dim;
    for (int64_t i = 0; i < step.dim; i += LINE) {
        __builtin_prefetch(step.weight + start + i, 1);
        __builtin_prefetch(step.first + start + i, 1);
        __builtin_prefetch(step.second + start + i, 1);
    }
}

// For the widest vectors that the processor has; chosen when the library is loaded.
__attribute__((target_clones("avx512f", "avx2", "default")))
void move(const float* __restrict grad, float* __restrict weight, float* __restrict first, float* __restrict second,
          const Step& step) {
    const float beta2 = step.beta2, epsilon = step.epsilon, rest1 = step.rest1, rest2 = step.rest2;
    const float rate = step.rate, correction = step.correction;
    const int64_t dim = step.dim;
    for (int64_t i = 0; i < dim; ++i) {
        const float g = grad[i];
        const float m = first[i] + rest1 * (g - first[i]);
        const float v = beta2 * second[i] + rest2 * g * g;
        first[i] = m;
        second[i] = v;
        weight[i] -= rate * m / (std::sqrt(v) / correction + epsilon);
    }
}

void move_rows(const Step& step, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && i < begin + AHEAD; ++i) fetch(step, step.rows[i]);
    for (int64_t i = begin; i < end; ++i) {
        if (i + AHEAD < end) fetch(step, step.rows[i + AHEAD]);
        const int64_t start = step.rows[i] * step.dim;
        move(step.grad + i * step.dim, step.weight + start, step.first + start, step.second + start, step);
    }
}

struct Call {
    const Step& step;
    int64_t shares;
    int64_t next;
    static void run(void* self) {
        Call& call = *static_cast<Call*>(self);
        for (;;) {
            const int64_t share = __atomic_fetch_add(&call.next, 1, __ATOMIC_RELAXED);
            if (share >= call.shares) return;
            move_rows(call.step, call.step.count * share / call.shares, call.step.count * (share + 1) / call.shares);
        }
    }
};

}  // namespace

extern "C" void fieldwise_row_adam(const Step* step) {
    Call call{*step, step->threads > 1 ? 4 * int64_t(step->threads) : 1, 0};
    if (step->threads <= 1) {
        Call::run(&call);
    } else if (step->parallel) {
        step->parallel(Call::run, &call, unsigned(step->threads), 0);
    } else {
        std::vector<std::thread> others;
        try {
            for (int i = 1; i < step->threads; ++i) others.emplace_back(Call::run, &call);
        } catch (const std::system_error&) {
            // As many as there are will do.
        }
        Call::run(&call);
        for (std::thread& other : others) other.join();
    }
}
