"""SciPy's answers for test_clv_covariates.c: the likelihoods as the papers write them, minimised. Arguments: a file of rows
x t_x T z1 z2; bgnbd or paretonbd. Prints the log-likelihood, the four parameters at z = 0, then the coefficients."""
import sys

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

x, t_x, t, *z = np.loadtxt(sys.argv[1]).T
z = np.array(z)


def bgnbd(theta):
    """Fader, Hardie & Lee 2005, equation 6; alpha exp(-g1'z), a exp(g2'z), b exp(g3'z) (Fader & Hardie 2007)."""
    r, g = np.exp(theta[0]), theta[4:].reshape(3, -1)
    alpha, a, b = np.exp(theta[1] - g[0] @ z), np.exp(theta[2] + g[1] @ z), np.exp(theta[3] + g[2] @ z)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + t)
    left = betaln(a + 1, b + x - 1) - betaln(a, b) - (r + x) * np.log(alpha + t_x)
    return -np.sum(common + np.where(x > 0, np.logaddexp(alive, np.where(x > 0, left, 0)), alive))


def paretonbd(theta):
    """Fader & Hardie 2005, "A note on deriving the Pareto/NBD model"; alpha exp(-g1'z), beta exp(-g2'z)."""
    r, s, g = np.exp(theta[0]), np.exp(theta[2]), theta[4:].reshape(2, -1)
    alpha, beta = np.exp(theta[1] - g[0] @ z), np.exp(theta[3] - g[1] @ z)
    k, more, second = r + s + x, np.maximum(alpha, beta), np.where(alpha >= beta, s + 1, r + x)
    gap = np.abs(alpha - beta)
    fall = np.exp(k * (np.log(more + t_x) - np.log(more + t)))
    between = hyp2f1(k, second, k + 1, gap / (more + t_x)) - fall * hyp2f1(k, second, k + 1, gap / (more + t))
    with np.errstate(divide="ignore"):
        left = np.log(s / k) + np.log(np.maximum(between, 0)) - k * np.log(more + t_x)
    return -np.sum(gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) +
                   np.logaddexp(-(r + x) * np.log(alpha + t) - s * np.log(beta + t), left))


model, effects = (bgnbd, 3) if sys.argv[2] == "bgnbd" else (paretonbd, 2)
best = minimize(model, np.concatenate([np.log([1, 5, 1, 5]), np.zeros(effects * len(z))]), method="BFGS", options={"gtol": 1e-4, "maxiter": 500})
print(-best.fun, *np.exp(best.x[:4]), *best.x[4:])
