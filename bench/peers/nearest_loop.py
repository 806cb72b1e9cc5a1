"""The peers of the benchmark of nearest neighbours: scikit-learn's brute force, and numpy's matrix product with a minimum.

    nearest_loop.py BANK QUERIES DIMENSIONS THREADS

Commands and answers are those of bench/nearest_side.cc: sklearn N, numpy N.
"""
import json
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = sys.argv[4]
import numpy as np
import sklearn
from sklearn.neighbors import NearestNeighbors


def main():
    dimensions, threads = int(sys.argv[3]), int(sys.argv[4])
    bank, queries = (np.fromfile(file, np.float32).reshape(-1, dimensions) for file in sys.argv[1:3])
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute", n_jobs=threads).fit(bank)
    squares = (bank**2).sum(1)

    def find(work):
        if work == "sklearn":
            return neighbours.kneighbors(queries, return_distance=False)[:, 0]
        return (squares - 2 * (queries @ bank.T)).argmin(1)

    print(json.dumps({"ready": f"numpy {np.__version__}, scikit-learn {sklearn.__version__}"}), flush=True)
    for line in sys.stdin:
        work, count = line.split()
        begun, processor_begun = time.perf_counter(), time.process_time()
        objects = sum(int(find(work).sum()) for _ in range(int(count)))
        answer = {
            "seconds": time.perf_counter() - begun,
            "processor_s": time.process_time() - processor_begun,
            "objects": objects,
        }
        print(json.dumps(answer), flush=True)


main()
