"""Synthetic interactions for the benchmarks of recommendations: users and items have tastes, items are popular by a
power law, users are active by a log-normal law; a weight is a small count. Pairs differ."""
import numpy as np


def interactions(users, items, n, seed=5):
    """n rows of user, item, weight (float64), by user."""
    rng = np.random.default_rng(seed)
    tastes = 20
    popular = (1 + np.arange(items)) ** -0.8
    popular = popular[rng.permutation(items)]
    taste_of = rng.integers(0, tastes, items)
    activity = rng.lognormal(0, 0.9, users)
    degree = np.clip(np.round(activity / activity.sum() * n * 1.6), 3, items // 8).astype(int)
    chance = np.array([popular * np.where(taste_of == t, 12, 1) for t in range(tastes)])
    cumulated = np.cumsum(chance / chance.sum(1, keepdims=True), 1)
    user = np.repeat(np.arange(users), degree)
    favourite = rng.integers(0, tastes, (users, 2))
    taste = favourite[user, rng.integers(0, 2, len(user))]
    item = np.empty(len(user), np.int64)
    for t in range(tastes):
        mine = taste == t
        item[mine] = np.searchsorted(cumulated[t], rng.random(mine.sum()))
    pairs = np.unique(user * items + np.minimum(item, items - 1))
    if len(pairs) > n:
        pairs = np.sort(rng.choice(pairs, n, replace=False))
    weight = 1 + rng.geometric(0.6, len(pairs)) - 1
    x = np.column_stack([pairs // items, pairs % items, weight]).astype(np.float64)
    x = np.vstack([x, [users - 1, items - 1, 1]])  # so that the shape is the one asked for
    keep = np.unique(x[:, 0] * items + x[:, 1], return_index=True)[1]
    return x[keep]
