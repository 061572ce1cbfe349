// Weights as conv.cu reads them, from the parameters as PyTorch has them:
//
//     packed[phase][input][tap][output] = sum over rows and columns of the tap of w[output][input][row][col],
//
// with zeros for outputs beyond the last. A transposed convolution has the same with inputs and outputs exchanged, that
// is with other strides; which rows and columns a tap adds up is in the record (`layer/conv.rs`).
// For conv_tensor.cu they stand in products of 16 outputs by eight inputs, as its threads read them (mma.cuh),
//
//     [16 outputs][eight inputs][column of taps][row of taps][part][thread][input 0 or 1][output 0 or 8],
//
// a part being TF32 numbers, or what they leave; and zeros for inputs beyond the last, too.
// Index map: blockIdx.y -> convolution, so that one launch packs a whole network; thread -> packed value, strided by
// the grid. Overwrites.
#include "mma.cuh"

// `PackRecord` in src/conv_pack.rs.
struct PackRecord {
    float* packed;
    int first, output_stride, input_stride;  // in the parameters
    int n_out, n_in, n_padded;
    int phases, taps, side;          // phases and taps along one axis; columns of the kernel
    // of phase and tap along one axis: first row of the kernel, and the one behind the last
    unsigned char spans[2][4][2];
    int parts;  // 0 for conv.cu
};
static_assert(sizeof(PackRecord) == 8 + 10 * 4 + 16, "src/conv_pack.rs has the same record");

// The sum of a tap.
__device__ __forceinline__ float weight(const PackRecord& at, const float* parameters, int phase, int c, int tap,
                                        int o) {
    if (o >= at.n_out || c >= at.n_in) return 0;
    const unsigned char* const rows = at.spans[phase / at.phases][tap / at.taps];
    const unsigned char* const cols = at.spans[phase % at.phases][tap % at.taps];
    const float* const kernel = parameters + at.first + o * at.output_stride + c * at.input_stride;
    float sum = 0;
    for (int row = rows[0]; row < rows[1]; ++row) {
        float row_sum = 0;
        for (int col = cols[0]; col < cols[1]; ++col) row_sum += kernel[row * at.side + col];
        sum += row_sum;
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(BLOCK)
    conv_pack(const PackRecord* __restrict__ records, const float* __restrict__ parameters) {
    const PackRecord& at = records[blockIdx.y];
    const int n_taps = at.taps * at.taps, n_eights = (at.n_in + 7) / 8;
    if (at.parts > 0) {
        for_each_element(8 * n_eights * n_taps * at.n_padded, [&](int i) {
            const int product = i / 128, thread = i % 128 / 4, tap_row = product % at.taps;
            const int tap_col = product / at.taps % at.taps, eights = product / n_taps;
            const int o = eights / n_eights * 16 + thread / 4 + i % 2 * 8;
            const int c = eights % n_eights * 8 + thread % 4 * 2 + i % 4 / 2;
            const float sum = weight(at, parameters, 0, c, tap_row * at.taps + tap_col, o), number = to_tf32(sum);
            float* const to = at.packed + product * at.parts * 128 + i % 128;
            to[0] = number;
            if (at.parts > 1) to[128] = to_tf32(sum - number);
        });
        return;
    }
    for_each_element(at.phases * at.phases * at.n_in * n_taps * at.n_padded, [&](int i) {
        const int o = i % at.n_padded, place = i / at.n_padded, tap = place % n_taps, c = place / n_taps % at.n_in;
        at.packed[i] = weight(at, parameters, place / n_taps / at.n_in, c, tap, o);
    });
}
