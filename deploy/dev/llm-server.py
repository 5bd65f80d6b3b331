"""Serves the model that llm.sh has fetched, on a free port of this machine, until it is killed.

    python3 deploy/dev/llm-server.py FOLDER

Prints the address when the server listens; the model may still be loading then, and requests are answered with 503.
"""

import pathlib
import signal
import socket
import sys

folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder))

import xllamacpp  # noqa: E402

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]

params = xllamacpp.CommonParams()
params.model.path = str(folder / "model.gguf")
params.hostnames = ["127.0.0.1"]
params.port = port
params.n_ctx = 2048
params.n_parallel = 1
# Threads of one run wait for each other in a loop: on a machine that is busy, two are many times slower than one.
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.use_jinja = True
params.ui = False
server = xllamacpp.Server(params)
print(f"http://127.0.0.1:{port}", flush=True)
signal.pause()
