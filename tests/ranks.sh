#!/usr/bin/env bash
# The same bits by 1, 2 and 3 ranks: a series, the rows of a table, a sweep over the prior's weight, a training; a series
# whose rank dies, and goes on.
#
#   tests/ranks.sh GRADUS     a program built with --features mpi; mpirun of Open MPI must be there
set -euo pipefail
gradus=$(realpath "$1")
inputs=$(realpath "$(dirname "$0")/cli/inputs/units")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$inputs/18c_stack.npy" stack.npy
# Ranks share this machine, and root may start them in a container.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun=(mpirun --oversubscribe --mca btl self,tcp --mca btl_tcp_if_include lo -n)
ranks() { "${mpirun[@]}" "$@"; }
same() { diff -r "$1" "$2" && echo "the same: $1 and $2"; }

series=(reconstruct stack.npy --slices all --angles 16 --steps 6 -q -o)
"$gradus" "${series[@]}" series-alone
for n in 1 2 3; do
    ranks $n "$gradus" "${series[@]}" series-$n
    same series-alone series-$n
done

cat > run.toml <<'TOML'
seed = 5
[data]
kind = "ellipses"
size = 32
[validation]
every_steps = 6
images = 2
reconstructions = 1
iterations = 5
[network]
in_channels = 1
out_channels = 1
pixel_unshuffle = 2
model_channels = 8
channel_mult = [1, 2]
num_res_blocks = 1
attention_resolutions = []
middle_attention = true
num_heads = 1
norm_groups = 4
norm_eps = 1e-5
max_period = 0.005
[[phase]]
loss = "denoising"
steps = 8
batch = 7
images_at_a_time = 2
crop = 16
learning_rate = 1e-3
[[phase]]
loss = "score-matching"
steps = 6
batch = 3
images_at_a_time = 1
crop = 16
learning_rate = 1e-3
TOML
"$gradus" train run.toml -q -o train-alone
for n in 1 2 3; do
    ranks $n "$gradus" train run.toml -q -o train-$n
    for file in weights.safetensors best.safetensors validation.csv; do
        cmp train-alone/$file train-$n/$file
    done
    echo "the same: weights of train-alone and train-$n"
done

table=(evaluate --table 1 --images 1 --starts 2 --steps 6 --tv-iterations 5 -q -o)
"$gradus" "${table[@]}" table-alone
ranks 3 "$gradus" "${table[@]}" table-3
same table-alone/results.csv table-3/results.csv

# Too few steps for good pictures, and enough for weights to differ.
search=(evaluate --sweep-alpha --table 1 --images 1 --starts 1 --steps 6 --tv-iterations 5 -q -o)
"$gradus" "${search[@]}" sweep-alone
for n in 1 2 3; do
    ranks $n "$gradus" "${search[@]}" sweep-$n
    for file in sweep.csv evaluation.toml results.csv; do
        same sweep-alone/$file sweep-$n/$file
    done
done
[ "$(cut -d , -f 2 sweep-alone/sweep.csv | sort -u | wc -l)" = 6 ] ||
    { echo "FAILED: the sweep tells no weights apart" >&2; exit 1; }

# One of two ranks is killed when the first slice is done: the run ends, and the same command goes on.
long=(reconstruct stack.npy --slices all --angles 60 --average 40 -q -o)
"$gradus" "${long[@]}" long-alone
"${mpirun[@]}" 2 "$gradus" "${long[@]}" long-killed 2>/dev/null &
started=$!
until ls long-killed/slices/*.json >/dev/null 2>&1; do
    kill -0 $started || { echo "FAILED: nothing was left to kill" >&2; exit 1; }
    sleep 0.01
done
kill -9 "$(pgrep -P $started | tail -1)"
if wait $started; then
    echo "FAILED: the others did not notice that a rank died" >&2
    exit 1
fi
[ ! -e long-killed/volume.npy ]
echo "a dead rank ended the run; done by then: $(ls long-killed/slices | wc -l) of 3 slices"
ranks 2 "$gradus" "${long[@]}" long-killed
same long-alone long-killed

# Without others there is no rank, and no MPI is asked for.
if ranks 2 "$gradus" inspect stack.npy 2>message; then
    echo "FAILED: a command for one was run by two" >&2
    exit 1
fi
grep -q "this command runs alone" message
