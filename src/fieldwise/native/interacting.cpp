// AutoInt's interacting layer (W. Song et al., CIKM 2019, eq. 5 to 8), forward and backward, for AVX512-BF16.
//
//   Q, K, V = act(x Wq + b), act(x Wk + b), act(x Wv + b);  A_h = softmax(Q_h K_h^T);  y = ReLU([A_h V_h] + residual)
//
// and, where asked for, LayerNorm(y). Attention over a few dozen fields does little arithmetic on many numbers: as
// separate matrix products it spends its time on memory, on padding and on calls. Here everything between the layer's
// input and its output stays in the second-level cache:
//
// * Rows in lanes. Sixteen rows are done at a time, one in each 32-bit lane of a vector. A product of two features (or
//   of two fields) of sixteen rows is one instruction (VDPBF16PS: two bfloat16 products per lane, added in float32), no
//   count of fields or width wants padding beyond an even number, and softmax, ReLU and LayerNorm never look across
//   lanes. Only on entering and leaving are numbers transposed.
// * Pairs. That instruction wants the two numbers it contracts side by side in a lane: pairs of features for products
//   over features, pairs of fields for those over fields. Arrays are [contracted pair][other index], so that what lies
//   in registers together lies in memory together.
// * bfloat16 is what is multiplied, float32 what is added, as in torch's products; the softmax is float32 throughout.
// * The backward pass computes Q, K, V and the attention weights once more, which is quicker than fetching them.
//
// Sums over rows run in an order that depends on the number of threads alone, so results repeat bit for bit.

#include <immintrin.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#define INLINE inline __attribute__((always_inline))
// Before a loop over a tile, all of which is to stay in registers.
#define EVERY _Pragma("GCC unroll 16")

namespace {

using V = __m512;   // one number of sixteen rows, float32
using U = __m512i;  // two numbers of sixteen rows, bfloat16, the first one in the lower half of each lane
constexpr int LANES = 16;

enum Residual { NONE = 0, PROJECTED = 1, IDENTITY = 2 };

}  // namespace

// What the caller says; the binding in Python has the same members in the same order.
struct Layer {
    int64_t rows;
    int32_t fields;
    int32_t in_dim;    // width of a field's vector on entering
    int32_t heads;     // the width W on leaving is heads * head_dim
    int32_t head_dim;  // even
    int32_t residual;
    int32_t relu_heads;     // ReLU on Q, K, V
    int32_t relu_residual;  // ReLU on the residual
    int32_t x_is_bfloat16;  // else float32; so is its gradient
    int32_t threads;
    float dropout;
    float epsilon;  // of the LayerNorm
    uint64_t seed;  // of the dropout
    const void* x;           // [rows, fields, in_dim]
    const float* weight;     // [3 W or 4 W, in_dim]: Q, K, V (each head after head), residual
    const float* bias;       // [3 W or 4 W] or null
    const float* gain;       // [W], null without LayerNorm
    const float* shift;      // [W], null without LayerNorm
    uint16_t* output;        // [rows, fields, W], bfloat16
    void* saved;             // fieldwise_saved_bytes(), what the backward pass wants besides x; aligned to 64 bytes
    const uint16_t* grad;    // of the output, bfloat16; from here on for the backward pass only
    void* grad_x;
    float* grad_weight;
    float* grad_bias;   // or null
    float* grad_gain;   // or null
    float* grad_shift;  // or null
    // How to run a function in several threads: GOMP_parallel of the OpenMP that torch uses, for a second set of
    // threads would fight with the first over the cores; null: threads of our own.
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
};

namespace {

// ---- Vectors ----------------------------------------------------------------------------------------------------

INLINE V zero() { return _mm512_setzero_ps(); }
INLINE V all(float value) { return _mm512_set1_ps(value); }
INLINE V dot(V sum, U a, U b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

// Sixteen words of `a` and sixteen of `b` in turn.
INLINE U interleave(U a, U b, int from) {
    alignas(64) static const uint16_t INDEX[2][32] = {
        {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47},
        {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55,
         24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63}};
    return _mm512_permutex2var_epi16(a, _mm512_load_si512(INDEX[from / 16]), b);
}

// [sixteen of a, sixteen of b] as bfloat16, not yet in pairs.
INLINE U halves(V a, V b) { return (U)_mm512_cvtne2ps_pbh(b, a); }

// The same in pairs.
INLINE U paired(U halves) {
    alignas(64) static const uint16_t INDEX[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                   8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(INDEX), halves);
}
INLINE U pack(V a, V b) { return paired(halves(a, b)); }

INLINE V first(U pair) { return _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)); }
INLINE V second(U pair) { return _mm512_castsi512_ps(_mm512_and_si512(pair, _mm512_set1_epi32(int(0xffff0000)))); }

// Which of 32 bfloat16 are above zero; as whole numbers their order is the same there.
INLINE __mmask32 positive(U pair) { return _mm512_cmpgt_epi16_mask(pair, _mm512_setzero_si512()); }
INLINE U where(__mmask32 mask, U pair) { return _mm512_maskz_mov_epi16(mask, pair); }

// 2^t for t <= 0, relative error 3e-6: t = n + r with r in [0, 1). Far below zero it is zero, NaN stays NaN.
INLINE V exp2_of(V t) {
    const V r = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    V p = _mm512_fmadd_ps(all(0.0135341659f), r, all(0.0520114638f));
    p = _mm512_fmadd_ps(p, r, all(0.241442755f));
    p = _mm512_fmadd_ps(p, r, all(0.693003833f));
    p = _mm512_fmadd_ps(p, r, all(1.0000026f));
    return _mm512_scalef_ps(p, t);
}
constexpr float LOG2_E = 1.44269504f;

// Random 32 bits of a number, every bit of which changes about half of them (C. Wellons, "lowbias32").
INLINE U scramble(U x) {
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7feb352d));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(int(0x846ca68b)));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

// ---- Tiles ------------------------------------------------------------------------------------------------------

template <int N>
using Int = std::integral_constant<int, N>;

template <int Size, int Step, class Body>
INLINE void last_tile(int at, int count, Body& body) {
    if (count - at == Size) {
        body(at, Int<Size>{});
    } else if constexpr (Size > Step) {
        last_tile<Size - Step, Step>(at, count, body);
    }
}

// body(start, size) over `count` in tiles of Size and a last one that is smaller, by multiples of Step. The size is a
// constant of the type, so that a tile's sums can stay in registers.
template <int Size, int Step, class Body>
INLINE void tiles(int count, Body body) {
    int at = 0;
    for (; at + Size <= count; at += Size) body(at, Int<Size>{});
    if constexpr (Size > Step) last_tile<Size - Step, Step>(at, count, body);
}

// sum[i][j] += sum over k of a[k][i] b[k][j]. With twelve sums or more the instruction's latency is hidden.
template <int I, int J>
INLINE void contract(V (&sum)[I][J], const U* a, long a_step, const U* b, long b_step, int count) {
    for (int k = 0; k < count; ++k, a += a_step, b += b_step) {
        U left[I];
        EVERY for (int i = 0; i < I; ++i) left[i] = a[i];
        EVERY for (int j = 0; j < J; ++j) {
            const U right = b[j];
            EVERY for (int i = 0; i < I; ++i) sum[i][j] = dot(sum[i][j], left[i], right);
        }
    }
}

template <int I, int J>
INLINE void clear(V (&sum)[I][J]) {
    EVERY for (int i = 0; i < I; ++i)
        EVERY for (int j = 0; j < J; ++j) sum[i][j] = zero();
}

// ---- What the blocks of a call have in common ---------------------------------------------------------------------

struct Sizes {
    int fields, even_fields, stride, field_pairs;  // stride: vectors from one pair of features to the next
    int in_dim, in_pairs, in_vectors;              // in_vectors: of sixteen numbers
    int heads, head_dim, head_pairs, width, width_pairs;
    int projected;   // 3 W or 4 W
    int some_pairs;  // as many pairs of fields as have their inputs in half of a first-level cache
    long blocks;
    // What is kept of a block for the backward pass, in vectors: per head and field the largest logit and 1 / sum of
    // the softmax; bits of the ReLUs; the layer's output before LayerNorm.
    long masks_at, normed_at, saved_per_block;

    explicit Sizes(const Layer& layer) {
        fields = layer.fields;
        even_fields = fields + fields % 2;
        field_pairs = even_fields / 2;
        stride = even_fields % 16 ? even_fields : even_fields + 2;  // a power of two would fall on few sets of a cache
        in_dim = layer.in_dim;
        in_pairs = (in_dim + 1) / 2;
        in_vectors = (in_dim + 15) / 16;
        heads = layer.heads;
        head_dim = layer.head_dim;
        head_pairs = head_dim / 2;
        width = heads * head_dim;
        width_pairs = width / 2;
        projected = (layer.residual == PROJECTED ? 4 : 3) * width;
        some_pairs = 20 / in_vectors > 0 ? 20 / in_vectors : 1;
        some_pairs = some_pairs < field_pairs ? some_pairs : field_pairs;
        blocks = (layer.rows + LANES - 1) / LANES;
        masks_at = 2L * heads * fields;
        normed_at = masks_at + (2L * width_pairs * fields * long(sizeof(__mmask32)) + 63) / 64;
        saved_per_block = normed_at + (layer.gain ? long(width_pairs) * stride : 0);
    }
};

U* allocate(size_t vectors) {
    void* memory = std::aligned_alloc(64, vectors * sizeof(U));
    if (!memory) throw std::bad_alloc();
    std::memset(memory, 0, vectors * sizeof(U));
    return static_cast<U*>(memory);
}

// Zeros of one type, freed at the end.
struct Array {
    U* data;
    explicit Array(size_t vectors) : data(allocate(vectors ? vectors : 1)) {}
    ~Array() { std::free(data); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    operator U*() const { return data; }
    V* floats() const { return reinterpret_cast<V*>(data); }
};

uint16_t to_bfloat16(float value) {
    const __m128i rounded = (__m128i)_mm_cvtneps_pbh(_mm_set_ss(value));
    return uint16_t(_mm_cvtsi128_si32(rounded));
}

uint32_t pair_of(float a, float b) { return uint32_t(to_bfloat16(a)) | uint32_t(to_bfloat16(b)) << 16; }

// The weights as pairs of bfloat16, laid out for the two products that read them.
struct Weights {
    std::vector<uint32_t> to_heads;   // [in_pairs][projected]
    std::vector<uint32_t> to_inputs;  // [projected / 2][2 in_pairs]
    std::vector<float> bias, least;   // [projected]; least: 0 where a ReLU follows, else -infinity

    Weights(const Layer& layer, const Sizes& s)
        : to_heads(size_t(s.in_pairs) * s.projected),
          to_inputs(size_t(s.projected / 2) * 2 * s.in_pairs),
          bias(s.projected, 0.0f),
          least(s.projected, -__builtin_inff()) {
        const auto weight = [&](int o, int c) { return c < s.in_dim ? layer.weight[long(o) * s.in_dim + c] : 0.0f; };
        for (int o = 0; o < s.projected; ++o) {
            if (layer.bias) bias[o] = layer.bias[o];
            if (o < 3 * s.width ? layer.relu_heads : layer.relu_residual) least[o] = 0.0f;
            for (int c = 0; c < s.in_pairs; ++c)
                to_heads[size_t(c) * s.projected + o] = pair_of(weight(o, 2 * c), weight(o, 2 * c + 1));
        }
        for (int o = 0; o < s.projected; o += 2)
            for (int c = 0; c < s.in_dim; ++c)
                to_inputs[size_t(o / 2) * 2 * s.in_pairs + c] = pair_of(weight(o, c), weight(o + 1, c));
    }
};

// ---- Entering and leaving -----------------------------------------------------------------------------------------

// Transposes 16 x 16 numbers of 32 bits.
INLINE void transpose(U (&r)[16]) {
    U t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; ++i) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

INLINE __mmask32 first_words(int count) { return count >= 32 ? ~__mmask32(0) : (__mmask32(1) << count) - 1; }

// At most 32 numbers from `at` on as bfloat16, zeros after them.
INLINE U load_words(const void* numbers, bool bfloat16, long at, int count) {
    const __mmask32 mask = first_words(count);
    if (bfloat16) return _mm512_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(numbers) + at);
    const float* from = static_cast<const float*>(numbers) + at;
    return halves(_mm512_maskz_loadu_ps(__mmask16(mask), from),
                  _mm512_maskz_loadu_ps(__mmask16(mask >> 16), from + 16));
}

INLINE void store_words(void* numbers, bool bfloat16, long at, int count, U words) {
    const __mmask32 mask = first_words(count);
    if (bfloat16) {
        _mm512_mask_storeu_epi16(static_cast<uint16_t*>(numbers) + at, mask, words);
        return;
    }
    float* to = static_cast<float*>(numbers) + at;
    const U low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(words));
    const U high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(words, 1));
    _mm512_mask_storeu_ps(to, __mmask16(mask), _mm512_castsi512_ps(_mm512_slli_epi32(low, 16)));
    _mm512_mask_storeu_ps(to + 16, __mmask16(mask >> 16), _mm512_castsi512_ps(_mm512_slli_epi32(high, 16)));
}

// Rows of [fields, dim] -> [pairs of features][stride]; rows that are not there are zeros.
void enter(const void* numbers, bool bfloat16, int dim, long row, int rows, const Sizes& s, U* to) {
    for (int f = 0; f < s.fields; ++f) {
        for (int c = 0; c < dim; c += 32) {
            U r[16];
            for (int i = 0; i < LANES; ++i)
                r[i] = i < rows ? load_words(numbers, bfloat16, ((row + i) * s.fields + f) * dim + c, dim - c)
                                : _mm512_setzero_si512();
            transpose(r);
            const int pairs = (dim - c + 1) / 2 < 16 ? (dim - c + 1) / 2 : 16;
            for (int i = 0; i < pairs; ++i) to[long(c / 2 + i) * s.stride + f] = r[i];
        }
    }
}

void leave(const U* from, void* numbers, bool bfloat16, int dim, long row, int rows, const Sizes& s) {
    for (int f = 0; f < s.fields; ++f) {
        for (int c = 0; c < dim; c += 32) {
            U r[16];
            const int pairs = (dim - c + 1) / 2 < 16 ? (dim - c + 1) / 2 : 16;
            for (int i = 0; i < 16; ++i)
                r[i] = i < pairs ? from[long(c / 2 + i) * s.stride + f] : _mm512_setzero_si512();
            transpose(r);
            for (int i = 0; i < rows; ++i)
                store_words(numbers, bfloat16, ((row + i) * s.fields + f) * dim + c, dim - c, r[i]);
        }
    }
}

// ---- Steps of a block ---------------------------------------------------------------------------------------------

// to[o / 2][f] = max(bias + sum over c of x[c][f] weight[c][o], least) for the first `outputs` of a weight's `columns`.
void project(const U* x, int pairs, const uint32_t* weight, int columns, int outputs, const float* bias,
             const float* least, const Sizes& s, U* to) {
    tiles<3, 1>(s.fields, [&](int f, auto some_fields) {
        tiles<8, 2>(outputs, [&](int o, auto some_outputs) {
            constexpr int I = decltype(some_fields)::value, J = decltype(some_outputs)::value;
            V sum[I][J];
            EVERY for (int j = 0; j < J; ++j)
                EVERY for (int i = 0; i < I; ++i) sum[i][j] = bias ? all(bias[o + j]) : zero();
            const U* left = x + f;
            const uint32_t* right = weight + o;
            for (int c = 0; c < pairs; ++c, left += s.stride, right += columns) {
                U numbers[I];
                EVERY for (int i = 0; i < I; ++i) numbers[i] = left[i];
                EVERY for (int j = 0; j < J; ++j) {
                    const U shared = _mm512_set1_epi32(int(right[j]));
                    EVERY for (int i = 0; i < I; ++i) sum[i][j] = dot(sum[i][j], numbers[i], shared);
                }
            }
            EVERY for (int j = 0; j < J; j += 2) {
                const V a = all(least ? least[o + j] : -__builtin_inff());
                const V b = all(least ? least[o + j + 1] : -__builtin_inff());
                EVERY for (int i = 0; i < I; ++i)  // the maximum's second operand is what comes out where one is NaN
                    to[long((o + j) / 2) * s.stride + f + i] =
                        pack(_mm512_max_ps(a, sum[i][j]), _mm512_max_ps(b, sum[i][j + 1]));
            }
        });
    });
}

// Pairs of features [pair][stride] -> pairs of fields [field pair - begin][2 pairs]; zeros join a last odd field.
void pair_fields(const U* from, int pairs, int begin, int end, const Sizes& s, U* to) {
    const U upper = _mm512_set1_epi32(int(0xffff0000));
    for (int f = begin; f < end; ++f) {
        for (int p = 0; p < pairs; ++p) {
            const U a = from[long(p) * s.stride + 2 * f], b = from[long(p) * s.stride + 2 * f + 1];
            U* out = to + (long(f - begin) * pairs + p) * 2;
            // Bitwise "upper ? b : a".
            out[0] = _mm512_ternarylogic_epi32(upper, _mm512_slli_epi32(b, 16), a, 0xca);
            out[1] = _mm512_ternarylogic_epi32(upper, b, _mm512_srli_epi32(a, 16), 0xca);
        }
    }
}

// Decides for sixteen rows which attention weights are kept: by random numbers that follow from the seed, the row and
// the place alone, so that the backward pass finds the same ones without having them stored.
struct Dropout {
    uint32_t threshold;
    float scale;
    U rows;

    Dropout(const Layer& layer, long row)
        : threshold(uint32_t(double(layer.dropout) * 4294967296.0)), scale(1.0f / (1.0f - layer.dropout)) {
        alignas(64) static const int32_t COUNT[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const U number = _mm512_add_epi32(_mm512_set1_epi32(int(row)), _mm512_load_si512(COUNT));
        rows = scramble(_mm512_xor_si512(number, _mm512_set1_epi32(int(layer.seed))));
        rows = scramble(_mm512_xor_si512(rows, _mm512_set1_epi32(int(layer.seed >> 32))));
    }

    INLINE __mmask16 kept(const Sizes& s, int head, int query, int key) const {
        const uint32_t place = (uint32_t(head) * s.fields + query) * s.fields + key;
        // The place is spread over all bits first; else neighbours would differ from neighbouring rows by nothing.
        const U number = scramble(_mm512_xor_si512(rows, _mm512_set1_epi32(int(place * 0x9e3779b1u + 1))));
        return _mm512_cmpge_epu32_mask(number, _mm512_set1_epi32(int(threshold)));
    }
};

// What a thread works with; all in vectors. Columns beyond the last field stay zero.
struct Scratch {
    Array x, heads, logits, shares, normed;
    explicit Scratch(const Sizes& s)
        : x(size_t(s.in_pairs) * s.stride),
          heads(size_t(s.projected / 2) * s.stride),
          logits(3u * s.even_fields),
          shares(3u * s.field_pairs + size_t(s.field_pairs) * s.head_dim),
          normed(size_t(s.width_pairs) * s.stride) {}
};

// Mean and 1 / deviation over the width at a field.
INLINE void measure(const U* y, const Sizes& s, float epsilon, V& mean, V& inverse) {
    V sum = zero(), squares = zero();
    for (int p = 0; p < s.width_pairs; ++p) {
        const U pair = y[long(p) * s.stride];
        sum = _mm512_add_ps(sum, _mm512_add_ps(first(pair), second(pair)));
    }
    mean = _mm512_mul_ps(sum, all(1.0f / float(s.width)));
    for (int p = 0; p < s.width_pairs; ++p) {
        const U pair = y[long(p) * s.stride];
        const V a = _mm512_sub_ps(first(pair), mean), b = _mm512_sub_ps(second(pair), mean);
        squares = _mm512_fmadd_ps(a, a, _mm512_fmadd_ps(b, b, squares));
    }
    const V variance = _mm512_fmadd_ps(squares, all(1.0f / float(s.width)), all(epsilon));
    inverse = _mm512_div_ps(all(1.0f), _mm512_sqrt_ps(variance));
}

void forward_block(const Layer& layer, const Sizes& s, const Weights& weights, Scratch& my, long block) {
    const long row = block * LANES;
    const int rows = layer.rows - row < LANES ? int(layer.rows - row) : LANES;
    U* const saved = static_cast<U*>(layer.saved) + block * s.saved_per_block;
    V* const statistics = reinterpret_cast<V*>(saved);
    __mmask32* const output_bits = reinterpret_cast<__mmask32*>(saved + s.masks_at);
    __mmask32* const residual_bits = output_bits + long(s.width_pairs) * s.fields;
    U* const y = layer.gain ? saved + s.normed_at : my.normed;
    const Dropout dropout(layer, row);
    U* const by_fields = my.shares + 3L * s.field_pairs;

    enter(layer.x, layer.x_is_bfloat16, s.in_dim, row, rows, s, my.x);
    project(my.x, s.in_pairs, weights.to_heads.data(), s.projected, s.projected, weights.bias.data(),
            weights.least.data(), s, my.heads);
    const U* const residual = layer.residual == IDENTITY    ? my.x.data
                              : layer.residual == PROJECTED ? my.heads + 3L * s.width_pairs * s.stride
                                                            : nullptr;
    for (int head = 0; head < s.heads; ++head) {
        const long start = long(head) * s.head_pairs;
        const U* const query = my.heads + start * s.stride;
        const U* const key = query + long(s.width_pairs) * s.stride;
        pair_fields(key + long(s.width_pairs) * s.stride, s.head_pairs, 0, s.field_pairs, s, by_fields);
        tiles<3, 1>(s.fields, [&](int i0, auto some_queries) {
            constexpr int I = decltype(some_queries)::value;
            V* const logits = my.logits.floats();  // [even_fields][I]
            U* const shares = my.shares;           // [field_pairs][I]
            V largest[I], scale[I];
            EVERY for (int i = 0; i < I; ++i) largest[i] = all(-__builtin_inff());
            tiles<8, 2>(s.even_fields, [&](int j0, auto some_keys) {
                constexpr int J = decltype(some_keys)::value;
                V sum[I][J];
                clear(sum);
                contract(sum, query + i0, s.stride, key + j0, s.stride, s.head_pairs);
                EVERY for (int j = 0; j < J; ++j)
                    EVERY for (int i = 0; i < I; ++i) {
                        logits[(j0 + j) * I + i] = sum[i][j];
                        if (j0 + j < s.fields) largest[i] = _mm512_max_ps(largest[i], sum[i][j]);
                    }
            });
            EVERY for (int i = 0; i < I; ++i) {
                largest[i] = _mm512_mul_ps(largest[i], all(LOG2_E));
                V total = zero();
                for (int j = 0; j < s.even_fields; j += 2) {
                    V a = exp2_of(_mm512_fmsub_ps(logits[j * I + i], all(LOG2_E), largest[i]));
                    V b = exp2_of(_mm512_fmsub_ps(logits[(j + 1) * I + i], all(LOG2_E), largest[i]));
                    if (j + 1 == s.fields) b = zero();
                    total = _mm512_add_ps(total, _mm512_add_ps(a, b));
                    if (layer.dropout > 0.0f) {
                        a = _mm512_maskz_mov_ps(dropout.kept(s, head, i0 + i, j), a);
                        b = _mm512_maskz_mov_ps(dropout.kept(s, head, i0 + i, j + 1), b);
                    }
                    shares[(j / 2) * I + i] = pack(a, b);
                }
                scale[i] = _mm512_div_ps(all(1.0f), total);
                statistics[2 * (long(head) * s.fields + i0 + i)] = largest[i];
                statistics[2 * (long(head) * s.fields + i0 + i) + 1] = scale[i];
                if (layer.dropout > 0.0f) scale[i] = _mm512_mul_ps(scale[i], all(dropout.scale));
            }
            tiles<8, 2>(s.head_dim, [&](int e0, auto some_outputs) {
                constexpr int J = decltype(some_outputs)::value;
                V sum[I][J];
                clear(sum);
                contract(sum, shares, I, by_fields + e0, s.head_dim, s.field_pairs);
                EVERY for (int j = 0; j < J; j += 2) {
                    const long p = start + (e0 + j) / 2;
                    EVERY for (int i = 0; i < I; ++i) {
                        V a = _mm512_mul_ps(sum[i][j], scale[i]), b = _mm512_mul_ps(sum[i][j + 1], scale[i]);
                        if (residual) {
                            U more = residual[p * s.stride + i0 + i];
                            if (layer.relu_residual) {
                                const __mmask32 mask = positive(more);
                                residual_bits[p * s.fields + i0 + i] = mask;
                                if (layer.residual == IDENTITY) more = where(mask, more);
                            }
                            a = _mm512_add_ps(a, first(more));
                            b = _mm512_add_ps(b, second(more));
                        }
                        const U pair = pack(_mm512_max_ps(zero(), a), _mm512_max_ps(zero(), b));
                        output_bits[p * s.fields + i0 + i] = positive(pair);
                        y[p * s.stride + i0 + i] = pair;
                    }
                }
            });
        });
    }
    if (layer.gain) {
        for (int f = 0; f < s.fields; ++f) {
            V mean, inverse;
            measure(y + f, s, layer.epsilon, mean, inverse);
            for (int p = 0; p < s.width_pairs; ++p) {
                const U pair = y[long(p) * s.stride + f];
                const V a = _mm512_mul_ps(_mm512_sub_ps(first(pair), mean), inverse);
                const V b = _mm512_mul_ps(_mm512_sub_ps(second(pair), mean), inverse);
                my.normed[long(p) * s.stride + f] =
                    pack(_mm512_fmadd_ps(a, all(layer.gain[2 * p]), all(layer.shift[2 * p])),
                         _mm512_fmadd_ps(b, all(layer.gain[2 * p + 1]), all(layer.shift[2 * p + 1])));
            }
        }
    }
    leave(my.normed, layer.output, true, s.width, row, rows, s);
}

// What a thread's rows add to the gradients of the weights.
struct Sums {
    Array weight;             // [projected][in_vectors], lanes: input features
    Array bias, gain, shift;  // [projected], [width], [width], lanes: rows
    explicit Sums(const Sizes& s)
        : weight(size_t(s.projected) * s.in_vectors), bias(s.projected), gain(s.width), shift(s.width) {}
};

struct BackwardScratch {
    // x and heads hold gradients, too, once what they held is no longer wanted: less memory, more of it in the cache.
    Array x, heads, grad, queries, keys, grads, shares, dropped, to_shares, to_logits, kept_pairs, logit_pairs, inputs,
        parts;
    explicit BackwardScratch(const Sizes& s)
        : x(size_t(s.in_pairs) * s.stride),
          heads(size_t(s.projected / 2) * s.stride),
          grad(size_t(s.width_pairs) * s.stride),
          queries(size_t(s.field_pairs) * s.head_dim),
          keys(size_t(s.field_pairs) * s.head_dim),
          grads(size_t(s.field_pairs) * s.head_dim),
          shares(4u * s.even_fields),
          dropped(4u * s.even_fields),
          to_shares(4u * s.even_fields),
          to_logits(4u * s.field_pairs),
          kept_pairs(size_t(s.field_pairs) * s.even_fields),
          logit_pairs(size_t(s.field_pairs) * s.even_fields),
          inputs(size_t(s.some_pairs) * LANES * s.in_vectors),
          parts(size_t(s.some_pairs) * s.projected) {}
};

// The gradient of the LayerNorm's input, in place of that of its output.
void backward_norm(const Layer& layer, const Sizes& s, const U* y, U* grad, Sums& sums) {
    V* const gain = sums.gain.floats();
    V* const shift = sums.shift.floats();
    const V share = all(1.0f / float(s.width));
    for (int f = 0; f < s.fields; ++f) {
        V mean, inverse, sum = zero(), along = zero();
        measure(y + f, s, layer.epsilon, mean, inverse);
        for (int p = 0; p < s.width_pairs; ++p) {
            const U pair = y[long(p) * s.stride + f], given = grad[long(p) * s.stride + f];
            for (int half = 0; half < 2; ++half) {
                const V normed = _mm512_mul_ps(_mm512_sub_ps(half ? second(pair) : first(pair), mean), inverse);
                const V g = half ? second(given) : first(given);
                const V scaled = _mm512_mul_ps(g, all(layer.gain[2 * p + half]));
                gain[2 * p + half] = _mm512_fmadd_ps(g, normed, gain[2 * p + half]);
                shift[2 * p + half] = _mm512_add_ps(shift[2 * p + half], g);
                sum = _mm512_add_ps(sum, scaled);
                along = _mm512_fmadd_ps(scaled, normed, along);
            }
        }
        sum = _mm512_mul_ps(sum, share);
        along = _mm512_mul_ps(along, share);
        for (int p = 0; p < s.width_pairs; ++p) {
            const U pair = y[long(p) * s.stride + f], given = grad[long(p) * s.stride + f];
            V result[2];
            for (int half = 0; half < 2; ++half) {
                const V normed = _mm512_mul_ps(_mm512_sub_ps(half ? second(pair) : first(pair), mean), inverse);
                const V scaled = _mm512_mul_ps(half ? second(given) : first(given), all(layer.gain[2 * p + half]));
                result[half] = _mm512_mul_ps(inverse, _mm512_sub_ps(scaled, _mm512_fmadd_ps(along, normed, sum)));
            }
            grad[long(p) * s.stride + f] = pack(result[0], result[1]);
        }
    }
}

// The gradients of a head's queries, keys and values, from that of its output, in place of what they are of.
void backward_head(const Layer& layer, const Sizes& s, BackwardScratch& my, const V* statistics, const Dropout& dropout,
                   int head) {
    const long part = long(s.width_pairs) * s.stride;
    U* const query = my.heads + long(head) * s.head_pairs * s.stride;
    U *const key = query + part, *const value = key + part;
    const U* const grad = my.grad + long(head) * s.head_pairs * s.stride;
    const bool drops = layer.dropout > 0.0f;
    pair_fields(query, s.head_pairs, 0, s.field_pairs, s, my.queries);
    pair_fields(key, s.head_pairs, 0, s.field_pairs, s, my.keys);
    pair_fields(grad, s.head_pairs, 0, s.field_pairs, s, my.grads);

    // Through a ReLU, where there is one: what it let pass is above zero.
    const auto store = [&](U* to, V a, V b) {
        const U pair = pack(a, b);
        *to = layer.relu_heads ? where(positive(*to), pair) : pair;
    };
    tiles<4, 2>(s.even_fields, [&](int i0, auto some_queries) {
        constexpr int I = decltype(some_queries)::value;
        V* const shares = my.shares.floats();                        // all three [even_fields][I]
        V* const dropped = drops ? my.dropped.floats() : shares;
        V* const to_shares = my.to_shares.floats();
        V largest[I], inverse[I], mean[I];
        EVERY for (int i = 0; i < I; ++i) {  // a query that is not there has no shares
            const bool there = i0 + i < s.fields;
            largest[i] = there ? statistics[2 * (long(head) * s.fields + i0 + i)] : zero();
            inverse[i] = there ? statistics[2 * (long(head) * s.fields + i0 + i) + 1] : zero();
            mean[i] = zero();
        }
        tiles<6, 2>(s.even_fields, [&](int j0, auto some_keys) {
            constexpr int J = decltype(some_keys)::value;
            V sum[I][J];
            clear(sum);
            contract(sum, query + i0, s.stride, key + j0, s.stride, s.head_pairs);
            EVERY for (int j = 0; j < J; ++j)
                EVERY for (int i = 0; i < I; ++i) {
                    const V share = exp2_of(_mm512_fmsub_ps(sum[i][j], all(LOG2_E), largest[i]));
                    shares[(j0 + j) * I + i] = j0 + j < s.fields ? _mm512_mul_ps(inverse[i], share) : zero();
                }
            clear(sum);
            contract(sum, grad + i0, s.stride, value + j0, s.stride, s.head_pairs);
            EVERY for (int j = 0; j < J; ++j)
                EVERY for (int i = 0; i < I; ++i) {
                    const int at = (j0 + j) * I + i;
                    if (drops) {
                        const __mmask16 kept = dropout.kept(s, head, i0 + i, j0 + j);
                        sum[i][j] = _mm512_maskz_mul_ps(kept, sum[i][j], all(dropout.scale));
                        dropped[at] = _mm512_maskz_mul_ps(kept, shares[at], all(dropout.scale));
                    }
                    to_shares[at] = sum[i][j];
                    mean[i] = _mm512_fmadd_ps(shares[at], sum[i][j], mean[i]);
                }
        });
        const auto to_logit = [&](int i, int j) {
            return _mm512_mul_ps(shares[j * I + i], _mm512_sub_ps(to_shares[j * I + i], mean[i]));
        };
        for (int j = 0; j < s.even_fields; j += 2) {
            EVERY for (int i = 0; i < I; i += 2) {
                const U upper = halves(to_logit(i, j), to_logit(i, j + 1));
                const U lower = halves(to_logit(i + 1, j), to_logit(i + 1, j + 1));
                my.to_logits[(j / 2) * I + i] = paired(upper);
                my.to_logits[(j / 2) * I + i + 1] = paired(lower);
                U* const pairs = my.logit_pairs + long((i0 + i) / 2) * s.even_fields + j;
                pairs[0] = interleave(upper, lower, 0);
                pairs[1] = interleave(upper, lower, 16);
                U* const kept = my.kept_pairs + long((i0 + i) / 2) * s.even_fields + j;
                kept[0] = pack(dropped[j * I + i], dropped[j * I + i + 1]);
                kept[1] = pack(dropped[(j + 1) * I + i], dropped[(j + 1) * I + i + 1]);
            }
        }
        tiles<6, 2>(s.head_dim, [&](int e0, auto some_outputs) {
            constexpr int J = decltype(some_outputs)::value;
            V sum[I][J];
            clear(sum);
            contract(sum, my.to_logits, I, my.keys + e0, s.head_dim, s.field_pairs);
            EVERY for (int j = 0; j < J; j += 2)
                EVERY for (int i = 0; i < I; ++i)
                    store(query + long((e0 + j) / 2) * s.stride + i0 + i, sum[i][j], sum[i][j + 1]);
        });
    });
    tiles<3, 1>(s.fields, [&](int j0, auto some_keys) {
        tiles<8, 2>(s.head_dim, [&](int e0, auto some_outputs) {
            constexpr int I = decltype(some_keys)::value, J = decltype(some_outputs)::value;
            V sum[I][J];
            const auto store_all = [&](U* to) {
                EVERY for (int j = 0; j < J; j += 2)
                    EVERY for (int i = 0; i < I; ++i)
                        store(to + long((e0 + j) / 2) * s.stride + j0 + i, sum[i][j], sum[i][j + 1]);
            };
            clear(sum);
            contract(sum, my.kept_pairs + j0, s.even_fields, my.grads + e0, s.head_dim, s.field_pairs);
            store_all(value);
            clear(sum);
            contract(sum, my.logit_pairs + j0, s.even_fields, my.queries + e0, s.head_dim, s.field_pairs);
            store_all(key);
        });
    });
}

// Adds the block's share of the gradients of weight and bias. Here input features are in the lanes, and rows and fields
// are what is summed over: no sum across lanes is wanted.
void backward_weights(const Layer& layer, const Sizes& s, BackwardScratch& my, Sums& sums, long row, int rows) {
    V* const to_bias = sums.bias.floats();
    const U ones = _mm512_set1_epi32(0x3f803f80);
    for (int begin = 0; begin < s.field_pairs; begin += s.some_pairs) {
        const int end = begin + s.some_pairs < s.field_pairs ? begin + s.some_pairs : s.field_pairs;
        for (int f = begin; f < end; ++f) {
            for (int r = 0; r < rows; ++r) {
                const long at = ((row + r) * s.fields + 2 * f) * s.in_dim;
                U* const to = my.inputs + (long(f - begin) * LANES + r) * s.in_vectors;
                for (int c = 0; c < s.in_dim; c += 32) {
                    const U a = load_words(layer.x, layer.x_is_bfloat16, at + c, s.in_dim - c);
                    const U b = 2 * f + 1 < s.fields
                                    ? load_words(layer.x, layer.x_is_bfloat16, at + s.in_dim + c, s.in_dim - c)
                                    : _mm512_setzero_si512();
                    to[c / 16] = interleave(a, b, 0);
                    if (c + 16 < s.in_dim) to[c / 16 + 1] = interleave(a, b, 16);
                }
            }
        }
        pair_fields(my.heads, s.projected / 2, begin, end, s, my.parts);
        const auto add_tile = [&](int o, int c, auto some_outputs, auto some_vectors) {
            constexpr int I = decltype(some_outputs)::value, J = decltype(some_vectors)::value;
            V* const to = sums.weight.floats() + long(o) * s.in_vectors + c;
            V sum[I][J];
            clear(sum);
            for (int f = 0; f < end - begin; ++f) {
                const int32_t* left = reinterpret_cast<const int32_t*>(my.parts + long(f) * s.projected + o);
                const U* right = my.inputs + long(f) * LANES * s.in_vectors + c;
                for (int r = 0; r < rows; ++r, ++left, right += s.in_vectors) {
                    U numbers[J];
                    EVERY for (int j = 0; j < J; ++j) numbers[j] = right[j];
                    EVERY for (int i = 0; i < I; ++i) {
                        const U shared = _mm512_set1_epi32(left[i * LANES]);
                        EVERY for (int j = 0; j < J; ++j) sum[i][j] = dot(sum[i][j], numbers[j], shared);
                    }
                }
            }
            EVERY for (int i = 0; i < I; ++i)
                EVERY for (int j = 0; j < J; ++j) {
                    V& all_rows = to[i * s.in_vectors + j];
                    all_rows = _mm512_add_ps(all_rows, sum[i][j]);
                }
        };
        if (s.in_vectors == 1)  // enough sums to hide the latency
            tiles<16, 2>(s.projected, [&](int o, auto outputs) { add_tile(o, 0, outputs, Int<1>{}); });
        else
            tiles<12, 2>(s.projected, [&](int o, auto outputs) {
                tiles<2, 1>(s.in_vectors, [&](int c, auto vectors) { add_tile(o, c, outputs, vectors); });
            });
        if (layer.grad_bias)
            for (int f = 0; f < end - begin; ++f)
                for (int o = 0; o < s.projected; ++o)
                    to_bias[o] = dot(to_bias[o], my.parts[long(f) * s.projected + o], ones);
    }
}

void backward_block(const Layer& layer, const Sizes& s, const Weights& weights, BackwardScratch& my, Sums& sums,
                    long block) {
    const long row = block * LANES;
    const int rows = layer.rows - row < LANES ? int(layer.rows - row) : LANES;
    const U* const saved = static_cast<const U*>(layer.saved) + block * s.saved_per_block;
    const __mmask32* const output_bits = reinterpret_cast<const __mmask32*>(saved + s.masks_at);
    const __mmask32* const residual_bits = output_bits + long(s.width_pairs) * s.fields;
    const Dropout dropout(layer, row);

    enter(layer.x, layer.x_is_bfloat16, s.in_dim, row, rows, s, my.x);
    enter(layer.grad, true, s.width, row, rows, s, my.grad);
    project(my.x, s.in_pairs, weights.to_heads.data(), s.projected, 3 * s.width, weights.bias.data(),
            weights.least.data(), s, my.heads);
    if (layer.gain) backward_norm(layer, s, saved + s.normed_at, my.grad, sums);
    U* const to_residual = my.heads + 3L * s.width_pairs * s.stride;  // where there is a projection
    for (int p = 0; p < s.width_pairs; ++p) {
        for (int f = 0; f < s.fields; ++f) {
            const long at = long(p) * s.stride + f;
            my.grad[at] = where(output_bits[long(p) * s.fields + f], my.grad[at]);
            if (layer.residual == PROJECTED)
                to_residual[at] =
                    layer.relu_residual ? where(residual_bits[long(p) * s.fields + f], my.grad[at]) : my.grad[at];
        }
    }
    for (int head = 0; head < s.heads; ++head)
        backward_head(layer, s, my, reinterpret_cast<const V*>(saved), dropout, head);
    project(my.heads, s.projected / 2, weights.to_inputs.data(), 2 * s.in_pairs, 2 * s.in_pairs, nullptr, nullptr, s,
            my.x);
    if (layer.residual == IDENTITY) {
        for (int p = 0; p < s.width_pairs; ++p) {
            for (int f = 0; f < s.fields; ++f) {
                const long at = long(p) * s.stride + f;
                const U more =
                    layer.relu_residual ? where(residual_bits[long(p) * s.fields + f], my.grad[at]) : my.grad[at];
                my.x[at] = pack(_mm512_add_ps(first(my.x[at]), first(more)),
                                   _mm512_add_ps(second(my.x[at]), second(more)));
            }
        }
    }
    leave(my.x, layer.grad_x, layer.x_is_bfloat16, s.in_dim, row, rows, s);
    backward_weights(layer, s, my, sums, row, rows);
}

// ---- Threads ------------------------------------------------------------------------------------------------------

// So many parts at most are the rows cut into, each with sums of its own, which are then added up in their order. More
// than there are cores, so that a thread that is held up leaves its parts to others; a fixed number, so that the result
// does not depend on the threads.
constexpr int SHARES = 16;

int count_shares(const Sizes& s) { return s.blocks < SHARES ? int(s.blocks) : SHARES; }

// Runs work(scratch, share, first block, end) for all shares.
template <class OwnScratch, class Work>
void in_threads(const Layer& layer, const Sizes& s, Work work) {
    struct Call {
        const Sizes& sizes;
        Work& work;
        std::atomic<int> next;
        std::atomic<bool> failed;
        static void run(void* self) {
            Call& call = *static_cast<Call*>(self);
            const int shares = count_shares(call.sizes);
            int share = call.next++;
            if (share >= shares) return;
            // Numbers next to zero would slow every sum of theirs a hundredfold.
            const unsigned control = _mm_getcsr();
            _mm_setcsr(control | 0x8040);
            try {
                OwnScratch my(call.sizes);
                for (; share < shares; share = call.next++)
                    call.work(my, share, call.sizes.blocks * share / shares, call.sizes.blocks * (share + 1) / shares);
            } catch (...) {
                call.failed = true;  // no exception may leave a thread
            }
            _mm_setcsr(control);
        }
    } call{s, work, {0}, {false}};
    const int threads = layer.threads < count_shares(s) ? layer.threads : count_shares(s);
    if (threads <= 1) {
        Call::run(&call);
    } else if (layer.parallel) {
        layer.parallel(Call::run, &call, unsigned(threads), 0);
    } else {
        std::vector<std::thread> others;
        try {
            for (int i = 1; i < threads; ++i) others.emplace_back(Call::run, &call);
        } catch (const std::system_error&) {
            // As many as there are will do.
        }
        Call::run(&call);
        for (std::thread& other : others) other.join();
    }
    if (call.failed) throw std::bad_alloc();
}

void forward(const Layer& layer) {
    const Sizes s(layer);
    const Weights weights(layer, s);
    in_threads<Scratch>(layer, s, [&](Scratch& my, int, long begin, long end) {
        for (long block = begin; block < end; ++block) forward_block(layer, s, weights, my, block);
    });
}

float across(V lanes) { return _mm512_reduce_add_ps(lanes); }

void backward(const Layer& layer) {
    const Sizes s(layer);
    const Weights weights(layer, s);
    std::vector<std::unique_ptr<Sums>> sums(count_shares(s));
    in_threads<BackwardScratch>(layer, s, [&](BackwardScratch& my, int share, long begin, long end) {
        sums[share].reset(new Sums(s));
        for (long block = begin; block < end; ++block) backward_block(layer, s, weights, my, *sums[share], block);
    });
    // One share after another, whichever was done first.
    for (int o = 0; o < s.projected; ++o) {
        for (int c = 0; c < s.in_vectors; ++c) {
            V sum = zero();
            for (const auto& one : sums) sum = _mm512_add_ps(sum, one->weight.floats()[long(o) * s.in_vectors + c]);
            const int count = s.in_dim - c * LANES < LANES ? s.in_dim - c * LANES : LANES;
            float* const to = layer.grad_weight + long(o) * s.in_dim + c * LANES;
            _mm512_mask_storeu_ps(to, __mmask16(first_words(count)), sum);
        }
    }
    const auto total = [&](float* to, Array Sums::*which, int count) {
        for (int o = 0; to && o < count; ++o) {
            to[o] = 0.0f;
            for (const auto& one : sums) to[o] += across(((*one).*which).floats()[o]);
        }
    };
    total(layer.grad_bias, &Sums::bias, s.projected);
    total(layer.grad_gain, &Sums::gain, s.width);
    total(layer.grad_shift, &Sums::shift, s.width);
}

}  // namespace

extern "C" {

int64_t fieldwise_saved_bytes(const Layer* layer) {
    const Sizes s(*layer);
    return s.blocks * s.saved_per_block * int64_t(sizeof(U));
}

// Both return 0, or 1 where there is not enough memory.
int fieldwise_interacting_forward(const Layer* layer) {
    try {
        forward(*layer);
        return 0;
    } catch (...) {
        return 1;
    }
}

int fieldwise_interacting_backward(const Layer* layer) {
    try {
        backward(*layer);
        return 0;
    } catch (...) {
        return 1;
    }
}
}
