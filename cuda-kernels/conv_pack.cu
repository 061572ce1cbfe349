// Weights as conv.cu reads them, from the parameters as PyTorch has them:
//
//     packed[phase][input][tap][output] = sum over rows and columns of the tap of w[output][input][row][col],
//
// with zeros for outputs beyond the last. A transposed convolution has the same with inputs and outputs exchanged, that
// is with other strides; which rows and columns a tap adds up is in the record (`layer/conv.rs`).
// Index map: blockIdx.y -> convolution, so that one launch packs a whole network; thread -> packed value, strided by
// the grid. Overwrites.
#include "common.cuh"

// `PackRecord` in src/conv_pack.rs.
struct PackRecord {
    float* packed;
    int first, output_stride, input_stride;  // in the parameters
    int n_out, n_in, n_padded;
    int phases, taps, side;          // phases and taps along one axis; columns of the kernel
    // of phase and tap along one axis: first row of the kernel, and the one behind the last
    unsigned char spans[2][4][2];
    int unused;
};
static_assert(sizeof(PackRecord) == 8 + 10 * 4 + 16, "src/conv_pack.rs has the same record");

extern "C" __global__ void __launch_bounds__(BLOCK)
    conv_pack(const PackRecord* __restrict__ records, const float* __restrict__ parameters) {
    const PackRecord& at = records[blockIdx.y];
    const int n_taps = at.taps * at.taps, n = at.phases * at.phases * at.n_in * n_taps * at.n_padded;
    for_each_element(n, [&](int i) {
        const int o = i % at.n_padded, place = i / at.n_padded, tap = place % n_taps, c = place / n_taps % at.n_in;
        const int phase = place / n_taps / at.n_in;
        const unsigned char* const rows = at.spans[phase / at.phases][tap / at.taps];
        const unsigned char* const cols = at.spans[phase % at.phases][tap % at.taps];
        float sum = 0;
        if (o < at.n_out) {
            const float* const kernel = parameters + at.first + o * at.output_stride + c * at.input_stride;
            for (int row = rows[0]; row < rows[1]; ++row) {
                float row_sum = 0;
                for (int col = cols[0]; col < cols[1]; ++col) row_sum += kernel[row * at.side + col];
                sum += row_sum;
            }
        }
        at.packed[i] = sum;
    });
}
