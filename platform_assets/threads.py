"""What processes of the platform are told about threads."""

from typing import Final

# One each: two runs, an endpoint and Dagster share the machine, and digests are promised per thread count. OpenMP's threads wait
# for each other by spinning: a boosting that takes 0.7 s of a busy processor with one takes 4 to 8 s with two.
ONE_THREAD_EACH: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
