#!/usr/bin/env bash
# Prints the tables of RESULTS.md, each by the command that stands there.
#
#   host/benches/results.sh readme      all that README.md has of them (PATIENT, HTC, DM4CT and PYTHON as below)
#   host/benches/results.sh cheap       the tables of a minute or less each
#   host/benches/results.sh PART...     picture ellipses algorithm2 parts alternatives levels stopping denoisers toy
#                                       roofline range rules warnings; with data slices fewer grid held-out cost
#                                       (PATIENT=FILE.npz), range-slices (FOLDER=FOLDER), tooth (TOOTH=SCAN.npz),
#                                       axis (AXES="RAW..."), htc (HTC=FOLDER), dm4ct (DM4CT=IMAGE), intervals
#                                       (STRANGERS=FOLDER), peers (PYTHON=what peers.py needs); and tables (an hour)
#
# The other tables beside peers have scripts of their own, the Python files in this folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
cheap="picture ellipses parts levels stopping denoisers toy"
[ $# -gt 0 ] || { sed -n '4,10p' "$0" | cut -c3-; exit 2; }
[ "$1" != cheap ] || set -- $cheap "${@:2}"
[ "$1" != readme ] || set -- picture ellipses slices fewer htc dm4ct peers "${@:2}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

example() {
    cargo build --release --locked --quiet --example "$1"
    "target/release/examples/$@"
}
gradus() {
    cargo build --release --locked --quiet --bin gradus
    target/release/gradus "$@"
}
# A reconstruction whose image may not explain its data, which is exit code 1.
measured() { gradus reconstruct "$@" || [ $? = 1 ]; }
# What a reconstruction says of its image, from --json.
figures() { grep -oE '"(psnr|ssim|rmse_hu|soft_tissue_psnr|nrmse)":[0-9.]+' | tr '\n' ' '; echo; }

part() {
    local six=2,7,12,17,22,27 images="ellipses ellipses:101-108"
    case "$1" in
        picture) example front_picture "$out/front.png" ;;
        ellipses)
            example sweep ellipses ellipses:1-10 method=fbp/tv
            example sweep ellipses ellipses:1-10 start=noise/zeros/fbp
            example sweep ellipses ellipses:1-10 tested_steps=0
            example sweep ellipses ellipses:1-10 average=8
            ;;
        algorithm2) example sweep ellipses ellipses:1-10 method=gradient-like start=noise ;;
        parts)
            example sweep $images mirrors=true/false
            example sweep $images weight=discrepancy
            example sweep $images average=8
            ;;
        alternatives) example alternatives ;;
        levels) example sweep $images steps=8/10/12 ;;
        stopping) example stopping ;;
        denoisers) example denoising ellipses ;;
        toy) gradus toy --t-max-index 0,15,30,50,60,70,99 ;;
        roofline) example roofline ;;
        slices)
            for method in preconditioned tv fbp; do
                for k in ${six//,/ }; do
                    gradus reconstruct "${PATIENT:?a stack of slices in HU}:[$k]" --noise 0.05 --noise-seed "$k" \
                        --method $method --quiet --json -o "$out/$method-$k" | figures
                done
            done
            ;;
        fewer)
            for method in preconditioned tv fbp; do
                example sweep ct "${PATIENT:?a stack of slices in HU}:$six" simulation.angles=20/60 method=$method
                example sweep ct "$PATIENT:$six" simulation.photons=10000 method=$method
            done
            ;;
        grid) example grid ct "${PATIENT:?a stack of slices in HU}:2,12,17,22" ;;
        tooth)
            measured "${TOOTH:?the scan of the tooth}" --method fbp --quiet -o "$out/all"
            for method in fbp tv preconditioned; do
                measured "$TOOTH" --every-view 3 --truth "$out/all/image.npy" --method $method --quiet \
                    --json -o "$out/third-$method" | figures
            done
            measured "$TOOTH" --every-view 3 --truth "$out/all/image.npy" --average 8 --quiet --json -o "$out/mean" |
                figures
            ;;
        range) gradus evaluate --range --images 3 --methods preconditioned,tv,fbp -o runs/results-range ;;
        range-slices)
            gradus evaluate --range --images 3 --dataset "${FOLDER:?a folder of slices}" \
                --methods preconditioned,tv,fbp -o runs/results-range-slices
            ;;
        rules)
            for views in 12 36 100; do
                scans="simulation.parts=3 simulation.angles=$views simulation.photons=2e3/2e4/2e5"
                example sweep ellipses ellipses:841-856 $scans
                example sweep ellipses ellipses:841-856 $scans alpha_per_variance=0.06/0.12/0.25/0.5/1/2/4
                example sweep ellipses ellipses:841-856 $scans steps=8/12/16/24
            done
            ;;
        warnings) example warnings 100 15 ;;
        held-out) example held_out "${PATIENT:?a stack of slices in HU}:2,12,22" ;;
        cost) example cost_of_trust "${PATIENT:?a stack of slices in HU}:[12]" ;;
        axis) example axis ${AXES:?raw files} ;;
        intervals)
            local folder=${STRANGERS:?the folder of strangers.py, with its twin}
            example calibrate runs "$folder/twin/weights.safetensors" "$folder/strangers.txt" "$folder/kept"
            example calibrate runs ct "$folder/others.txt" "$folder/kept"
            cat "$folder/strangers.txt" "$folder/others.txt" > "$out/list.txt"
            example calibrate intervals ct "$out/list.txt" "$folder/kept" "of a table" "$out/ct.safetensors"
            ;;
        dm4ct) gradus evaluate --dm4ct "${DM4CT:?a slice}" -o runs/results-dm4ct ;;
        peers)
            cargo build --release --locked --quiet --example peer_times
            "${PYTHON:?a Python with PyTorch and ASTRA}" host/benches/peers.py --rounds 3
            ;;
        htc) gradus evaluate --htc "${HTC:?the folder of the challenge}" -o runs/results-htc ;;
        tables)
            gradus evaluate --table 1 --jobs 2 -o runs/results
            gradus evaluate --table 2 --jobs 2 -o runs/results
            ;;
        *) echo "no part $1" >&2; return 2 ;;
    esac
}

for name in "$@"; do
    printf '\n== %s\n' "$name"
    part "$name"
done
