"""scikit-learn's cosines for test_tfidf.c. Arguments: a folder with counts.f32 (n, terms), n, terms, min_df, max_df. Writes
cosines.f64 (n, n) there."""
import sys

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer

folder, n, terms, min_df, max_df = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
counts = np.fromfile(folder + "/counts.f32", np.float32).reshape(n, terms).astype(np.float64)
df = (counts > 0).sum(axis=0)
counts = counts[:, (df >= min_df) & (df <= max_df * n)]
v = TfidfTransformer(norm="l2", use_idf=True, smooth_idf=True, sublinear_tf=True).fit_transform(counts).toarray()
(v @ v.T).tofile(folder + "/cosines.f64")
