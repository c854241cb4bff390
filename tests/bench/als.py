"""als of build/bench against NumPy; see als.sh. Both fit the same loss (als.h) from small random factors.

The same answer: our loss, recomputed here in double from the factors that build/bench wrote, within 1e-3 of what it
said and at most .5 % above NumPy's, whose solves are exact."""
import json
import subprocess
import sys
import time

import numpy as np

import recommend_data

TARGET = 40.0
ALPHA, LAMBDA, NU, FACTORS, ITERATIONS = 10.0, 10.0, 0.5, 64, 15
folder, full = sys.argv[1], sys.argv[2] == "1"
users, items, n = (50_000, 10_000, 2_000_000) if full else (5_000, 1_000, 100_000)


def csr(row, col, weight, rows):
    order = np.argsort(row, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return start, col[order], (ALPHA * weight[order]).astype(np.float32)


def ridges(start, extra, others):
    mass = others + np.add.reduceat(np.append(extra, 0).astype(np.float64), start[:-1]) * (np.diff(start) > 0)
    return (LAMBDA * (mass / mass.mean()) ** NU).astype(np.float32)


def solve_side(side, ridge, opposite, out):
    start, col, extra = side
    gram, eye = opposite.T @ opposite, np.eye(FACTORS, dtype=np.float32)
    for row in range(len(start) - 1):
        here = slice(start[row], start[row + 1])
        y, e = opposite[col[here]], extra[here]
        out[row] = np.linalg.solve(gram + ridge[row] * eye + (y.T * e) @ y, (1 + e) @ y)


def loss(side, x, y, x_ridge, y_ridge):
    start, col, extra = side
    x, y = x.astype(np.float64), y.astype(np.float64)
    row = np.repeat(np.arange(len(x)), np.diff(start))
    score = np.concatenate([np.einsum("ij,ij->i", x[row[i:i + 100000]], y[col[i:i + 100000]])
                            for i in range(0, len(row), 100000)])
    return (((1 + extra) * (1 - score) ** 2 - score ** 2).sum() + ((x.T @ x) * (y.T @ y)).sum()
            + x_ridge @ (x * x).sum(1) + y_ridge @ (y * y).sum(1))


data = recommend_data.interactions(users, items, n)
np.save(folder + "/x.npy", data)
user, item, weight = data[:, 0].astype(int), data[:, 1].astype(int), data[:, 2]
by_user, by_item = csr(user, item, weight, users), csr(item, user, weight, items)
user_ridge, item_ridge = ridges(by_user[0], by_user[2], items), ridges(by_item[0], by_item[2], users)

ours, got = float("inf"), None


def run_ours():
    global ours, got
    line = subprocess.run(["build/bench", "als", "--x", folder + "/x.npy", "--out", folder + "/f.npy", "--param",
                           f"alpha={ALPHA}", "--param", f"lambda={LAMBDA}", "--param", f"nu={NU}", "--param",
                           f"factors={FACTORS}", "--param", f"iterations={ITERATIONS}"],
                          check=True, capture_output=True, text=True).stdout
    got = json.loads(line)
    ours = min(ours, got["seconds"])


run_ours()
x, y = np.zeros((users, FACTORS), np.float32), np.random.default_rng(1).normal(
    0, 0.1 / FACTORS ** 0.5, (items, FACTORS)).astype(np.float32)
start = time.perf_counter()
for _ in range(ITERATIONS):
    solve_side(by_user, user_ridge, y, x)
    solve_side(by_item, item_ridge, x, y)
peer = time.perf_counter() - start
run_ours()
theirs = loss(by_user, x, y, user_ridge, item_ridge)
f = np.load(folder + "/f.npy")
said, real = got["quality"]["loss"], loss(by_user, f[:users], f[users:], user_ridge, item_ridge)
same = abs(said / real - 1) <= 1e-3 and real <= 1.005 * theirs
ratio = peer / ours
print(f"{f'als {users}x{items}, {len(data)}':<30} {ours:>12.3f} s {peer:>12.3f} s {ratio:>7.1f}x  "
      f"{'ok' if same else 'FAILED':<7} >= {TARGET:.0f}x: {'met' if ratio >= TARGET else 'MISSED'} (NumPy, a solve a "
      f"user and item; 64 factors, 15 iterations; loss {real:.8g}, theirs {theirs:.8g}, {100 * (real / theirs - 1):+.3f} %; "
      f"{got['quality']['memory_mb']} MB, {got['quality']['threads']} threads)")
sys.exit(0 if same else 1)
