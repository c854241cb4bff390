"""scikit-learn's answers for test_oracle.c. Arguments: a folder with x.f32 (n, d), init.f64 (k, d), a.i32 and
b.i32 (n); n d k. Prints numbers in the order that the test reads them."""
import sys

import numpy as np
from sklearn import metrics
from sklearn.cluster import KMeans

folder, n, d, k = sys.argv[1], *map(int, sys.argv[2:5])
x = np.fromfile(folder + "/x.f32", np.float32).reshape(n, d)
init = np.fromfile(folder + "/init.f64", np.float64).reshape(k, d)
a, b = (np.fromfile(f"{folder}/{name}.i32", np.int32) for name in "ab")
model = KMeans(k, init=init.astype(np.float32), n_init=1, algorithm="lloyd", tol=1e-4, max_iter=300).fit(x)
print(model.inertia_, model.n_iter_)
wide = x.astype(np.float64)
print(metrics.silhouette_score(wide, a), metrics.calinski_harabasz_score(wide, a),
      metrics.davies_bouldin_score(wide, a))
print(metrics.adjusted_rand_score(a, b), metrics.normalized_mutual_info_score(a, b))
