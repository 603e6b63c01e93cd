#!/usr/bin/env bash
# From nothing to a results table: installs, makes the synthetic people, trains a ResNet-18 with
# Local Feature Masking on them, tests it, and sets it beside what needs no training. A second call
# goes on where the first one stopped.
. "$(dirname "$0")/environment.sh"

config=configs/synthetic_lfm.yml
out="${OUT:-outputs}"
run="$out/synthetic_lfm"

python tools/make_synthetic.py --preset quick --seed 0 --root datasets
python tools/train.py --config-file "$config" --resume OUTPUT_DIR "$run"
python tools/test.py --config-file "$config" TEST.WEIGHT "$run/last.pth" TEST.RE_RANKING True OUTPUT_DIR "$run"
for reference in chance color_histogram; do
    python tools/reference.py --reference "$reference" --config-file "$config" OUTPUT_DIR "$out/$reference"
done

echo
python tools/results.py "$out/chance" "$out/color_histogram" "$run" --markdown
echo
echo "Everything lies in $run: train.log, test.log, metrics.json, ranking.npz, config.yml,"
echo "best.pth, last.pth, metrics.jsonl; curves and pictures: tensorboard --logdir $out"
