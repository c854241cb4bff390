"""ease of build/bench, from interactions to B, against spotrf and spotri of SciPy's LAPACK on the Gram matrix that is
there already; see ease.sh. The ratio is ours / LAPACK's.

The same answer: the first columns of B are those of the definition, (X'X + lambda I)(b_j - e_j) = -e_j / P_jj, within
1e-3 of 1 / P_jj, in double."""
import json
import os
import subprocess
import sys
import time

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

import recommend_data

TARGET, LAMBDA, COLUMNS = 1.2, 500.0, 8
folder, full = sys.argv[1], sys.argv[2] == "1"
users, items, n, rounds = (50_000, 10_000, 2_000_000, 1) if full else (10_000, 1_500, 200_000, 4)
data = recommend_data.interactions(users, items, n)
np.save(folder + "/x.npy", data)
x = sp.csr_matrix((data[:, 2].astype(np.float32), (data[:, 0].astype(int), data[:, 1].astype(int))), (users, items))
gram = np.asfortranarray((x.T @ x).toarray() + np.float32(LAMBDA) * np.eye(items, dtype=np.float32))
# OpenBLAS's own threads, which build/bench does not use, would spin beside it for its first moments.
alone = dict(os.environ, OPENBLAS_NUM_THREADS="1")
ours = peer = float("inf")
for i in range(rounds + 1):  # ours before, between and after
    line = subprocess.run(["build/bench", "ease", "--x", folder + "/x.npy", "--out", folder + "/b.npy", "--param",
                           f"lambda={LAMBDA}", "--param", f"columns={COLUMNS}"],
                          check=True, capture_output=True, text=True, env=alone).stdout
    got = json.loads(line)
    ours = min(ours, got["seconds"])
    if i < rounds:
        a = gram.copy(order="F")
        start = time.perf_counter()
        c, info = lapack.spotrf(a, lower=1, clean=0, overwrite_a=1)
        p, info2 = lapack.spotri(c, lower=1, overwrite_c=1)
        peer = min(peer, time.perf_counter() - start)
        assert info == 0 and info2 == 0
b = np.load(folder + "/b.npy").astype(np.float64)
b[np.arange(COLUMNS), np.arange(COLUMNS)] -= 1
r = gram.astype(np.float64) @ b
scale = -r[np.arange(COLUMNS), np.arange(COLUMNS)].copy()
r[np.arange(COLUMNS), np.arange(COLUMNS)] = 0
worst = np.abs(r / scale).max()
same = worst <= 1e-3 and np.allclose(scale * np.diag(p)[:COLUMNS], 1, rtol=1e-3)
ratio = ours / peer
print(f"{f'ease {items} items':<30} {ours:>12.3f} s {peer:>12.3f} s {ratio:>7.2f}x  "
      f"{'ok' if same else 'FAILED':<7} <= {TARGET}x of LAPACK's time: {'met' if ratio <= TARGET else 'MISSED'} (spotrf and "
      f"spotri alone, all cores; residual {worst:.1e}; {got['quality']['memory_mb']} MB, {got['quality']['threads']} threads)")
sys.exit(0 if same else 1)
