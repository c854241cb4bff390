"""BG/NBD of build/bench against SciPy as the lifetimes package uses it: Nelder-Mead over the logarithms of the parameters, time
scaled to at most 1, the likelihood vectorised over all customers, then each customer's expectation by hyp2f1; see clv.sh.

The same answer: a log-likelihood at least as high (less 1e-3), and expected orders of a year within 1e-3 in all (Nelder-Mead
stops where the last digits do not matter to it).

Then recovery: of customers who do exactly what a model says, in continuous time, each parameter is found within three of its
standard errors of the one they were made with."""
import json
import subprocess
import sys
import time

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln, hyp2f1

TARGET = 80.0
HORIZON = 365 / 7
folder, full = sys.argv[1], sys.argv[2] == "1"
n = 1_000_000 if full else 20_000
R, ALPHA, A, B = 0.243, 4.414, 0.793, 2.426  # weeks; CDNOW's


def simulate(rng):
    """Customers seen for 27 to 39 weeks, purchases by day."""
    days = rng.integers(189, 273, n).astype(float)
    rate, p = rng.gamma(R, 1 / ALPHA, n) / 7, rng.beta(A, B, n)
    at, last, count = np.zeros(n), np.zeros(n), np.zeros(n)
    active = np.arange(n)
    while active.size:
        at[active] += rng.exponential(1, active.size) / np.maximum(rate[active], 1e-300)
        active = active[at[active] < days[active]]
        count[active] += 1
        last[active] = at[active]
        active = active[rng.random(active.size) >= p[active]]
    return np.column_stack([count, np.where(count > 0, np.minimum(np.maximum(np.ceil(last), 1), days), 0), days])


def log_likelihood(r, alpha, a, b, x, t_x, t):
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    alive = -(r + x) * np.log(alpha + t)
    left = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    return common + np.where(x > 0, np.logaddexp(alive, left), alive)


def expected(r, alpha, a, b, x, t_x, t, h):
    odds = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) + (r + x) * np.log((alpha + t) / (alpha + t_x)), -np.inf)
    f = hyp2f1(r + x, b + x, a + b + x - 1, h / (alpha + t + h))
    return expit(-odds) * (a + b + x - 1) / (a - 1) * (1 - ((alpha + t) / (alpha + t + h)) ** (r + x) * f)


def as_they_say(rng, kind, truth, n):
    """Customers of 27 to 39 weeks who live by the model of this kind; (x, t_x, T) in weeks."""
    r, alpha, third, fourth = truth
    seen = rng.uniform(27, 39, n)
    rate = rng.gamma(r, 1 / alpha, n)
    p = rng.beta(third, fourth, n) if kind != 2 else np.zeros(n)
    gone = rng.exponential(1, n) / rng.gamma(third, 1 / fourth, n) if kind == 2 else np.full(n, np.inf)
    at, last, count = np.zeros(n), np.zeros(n), np.zeros(n)
    active = np.arange(n)
    if kind == 1:  # may leave after the first purchase too
        active = active[rng.random(n) >= p]
    while active.size:
        at[active] += rng.exponential(1, active.size) / np.maximum(rate[active], 1e-300)
        active = active[at[active] < np.minimum(seen, gone)[active]]
        count[active] += 1
        last[active] = at[active]
        active = active[rng.random(active.size) >= p[active]]
    return np.column_stack([count, last, seen])


def recover(kind, name, truth, n):
    rows = as_they_say(np.random.default_rng(11 + kind), kind, truth, n)
    rows[:, 1:] *= 7  # build/bench takes days and says weeks
    np.save(folder + "/recover.npy", rows)
    got = json.loads(subprocess.run(["build/bench", "clv", "--x", folder + "/recover.npy", "--param", f"kind={kind}"], check=True,
                                    capture_output=True, text=True).stdout)
    found, error = got["quality"]["parameters"], got["quality"]["standard_errors"]
    away = [abs(f - t) / e for f, t, e in zip(found, truth, error)]
    fine = got["quality"]["converged"] and max(away) <= 3
    print(f"{f'clv recovery {name} {n}':<30} {max(away):>12.2f} se {3:>11.2f} se {'':>8}  {'ok' if fine else 'FAILED':<7} each parameter within 3 "
          f"standard errors of the true one: " + ", ".join(f"{f:.4g} ({t:g}, se {e:.2g})" for f, t, e in zip(found, truth, error)))
    return fine


rows = simulate(np.random.default_rng(7))
np.save(folder + "/x.npy", rows)
x, t_x, t = rows[:, 0], rows[:, 1] / 7, rows[:, 2] / 7
longest = t.max()
start = time.perf_counter()
best = minimize(lambda theta: -log_likelihood(*np.exp(theta), x, t_x / longest, t / longest).mean(), np.full(4, 0.1), method="Nelder-Mead",
                options={"maxiter": 2000, "xatol": 1e-4, "fatol": 1e-9})
r, alpha, a, b = np.exp(best.x) * [1, longest, 1, 1]
theirs = expected(r, alpha, a, b, x, t_x, t, HORIZON).sum()
peer = time.perf_counter() - start
their_likelihood = log_likelihood(r, alpha, a, b, x, t_x, t).sum()
line = subprocess.run(["build/bench", "clv", "--x", folder + "/x.npy", "--param", f"repeat={5 if full else 20}"], check=True, capture_output=True,
                      text=True).stdout
got = json.loads(line)
ours, quality = got["seconds"], got["quality"]
same = quality["converged"] and quality["log_likelihood"] >= their_likelihood - 1e-3 and abs(quality["expected_orders"] / theirs - 1) <= 1e-3
ratio = peer / ours
print(f"{f'clv bgnbd {n} customers':<30} {ours:>12.4f} s {peer:>12.3f} s {ratio:>7.1f}x  {'ok' if same else 'FAILED':<7} "
      f">= {TARGET:.0f}x: {'met' if ratio >= TARGET else 'MISSED'} (SciPy Nelder-Mead, {best.nfev} likelihoods; ours fit "
      f"{quality['fit_seconds']:.4f} s, {quality['evaluations']} likelihoods, scores {quality['score_seconds']:.4f} s; log-likelihood "
      f"{quality['log_likelihood']:.4f}, theirs {their_likelihood:.4f}; orders {quality['expected_orders']:.6g}, theirs {theirs:.6g})")
recovered = [recover(0, "bgnbd", (R, ALPHA, A, B), 50_000), recover(1, "mbgnbd", (0.525, 6.183, 0.891, 1.614), 50_000),
             recover(2, "paretonbd", (0.553, 10.578, 0.606, 11.669), 20_000)]
sys.exit(0 if same and all(recovered) else 1)
