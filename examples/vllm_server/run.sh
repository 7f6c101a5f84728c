#!/bin/sh
# Runs Middo on a few rows against `vllm serve`, which lives in an environment of its own.
#
#     examples/vllm_server/run.sh VLLM-ENVIRONMENT [OPTIONS OF middo run]
#
# MIDDO (default: middo) and PYTHON (default: the Python beside it) name the environment of Middo.
set -eu

environment=${1:?"usage: $0 VLLM-ENVIRONMENT [OPTIONS OF middo run]"}
shift
here=$(dirname "$0")
middo=${MIDDO:-$(command -v middo)}
python=${PYTHON:-$(dirname "$middo")/python}
address=http://127.0.0.1:8765
log=$(mktemp)

# vLLM reads safetensors: Middo converts its small model once and keeps it in its cache.
model=$("$python" -c 'from middo.training.sources import resolve_model as find
print(find("smollm2-135m").folder)')

# `vllm serve` asks for the version of a package `vllm`, which vLLM's build for CPUs doesn't have under
# that name; there the module behind the command is run.
serve() {
    if "$environment/bin/python" -c 'from importlib.metadata import version; version("vllm")' \
        2>/dev/null; then
        exec "$environment/bin/vllm" serve "$@"
    fi
    exec "$environment/bin/python" -m vllm.entrypoints.openai.api_server --model "$@"
}

# Compact JSON only: a small model can write blank lines, which any JSON may hold, to the limit.
compact='{"backend": "xgrammar", "disable_any_whitespace": true}'
export VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}"
serve "$model" --served-model-name smollm2-135m --host 127.0.0.1 --port 8765 --dtype bfloat16 \
    --max-model-len 4096 --max-num-seqs 16 --enforce-eager --structured-outputs-config "$compact" \
    >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

echo "starting vLLM, log in $log" >&2
until "$python" -c "from urllib.request import urlopen; urlopen('$address/health', timeout=5)" \
    2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null; then
        echo "vLLM has ended; its last lines:" >&2
        tail -n 5 "$log" >&2
        exit 3
    fi
    sleep 1
done

"$middo" run "$here/config.yaml" "$@"
