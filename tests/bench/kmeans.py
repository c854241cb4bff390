"""k-means of build/bench against scikit-learn's, same rows, same start, fits interleaved; see kmeans.sh.

The same answer: inertia within 1e-4, and as many iterations. The rows are twelve overlapping clouds, on which
Lloyd's moves shrink fast enough past the tolerance for float32 and double sums to stop at the same iteration (on
data where they linger about the tolerance, scikit-learn in float32 and in double differ by several)."""
import json
import subprocess
import sys
import time

import numpy as np
from sklearn.cluster import KMeans

TARGET = 4.0
folder, full = sys.argv[1], sys.argv[2] == "1"
n, rounds = (1_000_000, 5) if full else (100_000, 4)
rng = np.random.default_rng(36)
centres = rng.uniform(-2, 2, (12, 16))
x = (centres[rng.integers(0, 12, n)] + rng.normal(size=(n, 16))).astype(np.float32)
init = x[rng.choice(n, 12, replace=False)]
np.save(folder + "/x.npy", x)
np.save(folder + "/init.npy", init)

ours = peer = float("inf")
for _ in range(rounds):
    model = KMeans(12, init=init, n_init=1, algorithm="lloyd")
    start = time.perf_counter()
    model.fit(x)
    peer = min(peer, time.perf_counter() - start)
    line = subprocess.run(["build/bench", "kmeans", "--x", folder + "/x.npy", "--init", folder + "/init.npy"],
                          check=True, capture_output=True, text=True).stdout
    got = json.loads(line)
    ours = min(ours, got["seconds"])
quality = got["quality"]
same = abs(quality["inertia"] / model.inertia_ - 1) <= 1e-4 and quality["iterations"] == model.n_iter_
ratio = peer / ours
print(f"{f'kmeans {n} x 16, k 12':<30} {ours:>12.3f} s {peer:>12.3f} s {ratio:>7.1f}x  "
      f"{'ok' if same else 'FAILED':<7} >= {TARGET:.0f}x: {'met' if ratio >= TARGET else 'MISSED'} (scikit-learn Lloyd, all cores; "
      f"{quality['iterations']} iterations, theirs {model.n_iter_}; inertia {quality['inertia']:.7g}, theirs "
      f"{model.inertia_:.7g}; {quality['kernel']})")
sys.exit(0 if same else 1)
