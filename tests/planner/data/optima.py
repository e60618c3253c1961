#!/usr/bin/env python3
"""The least cost that takes every node of a cluster under two thresholds, exactly, by HiGHS (pip install highspy numpy).

    optima.py SECONDS MEMORY_PERCENT VCPUS_PER_CORE CLUSTER.txt...

VMs of one size are interchangeable and a move costs the same wherever it goes, so only how many VMs of each size leave
and arrive at each node matters. Prints for each file: name, thresholds, cost or `infeasible`, and the proven bound.
"""
import sys

import highspy
import numpy as np

seconds, memory_percent, per_core = (float(text) for text in sys.argv[1:4])
for path in sys.argv[4:]:
    rows = [line.split() for line in open(path)]
    nodes = [(int(row[0]), int(row[1])) for row in rows]
    kinds = [[tuple(map(int, kind.split("*"))) for kind in row[2:]] for row in rows]
    sizes = sorted({(c, m) for here in kinds for c, m, _ in here})
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("time_limit", seconds)
    model.setOptionValue("mip_rel_gap", 0.0)
    out, into, upper, cost = {}, {}, [], []
    for n, here in enumerate(kinds):
        for c, m, count in here:
            out[c, m, n] = len(upper)
            upper.append(count)
            cost.append(m / 1024 + 4)
        for c, m in sizes:
            into[c, m, n] = len(upper)
            upper.append(sum(count for other in kinds for c2, m2, count in other if (c2, m2) == (c, m)))
            cost.append(0)
    model.addVars(len(upper), np.zeros(len(upper)), np.array(upper, float))
    index = np.arange(len(upper), dtype=np.int32)
    model.changeColsCost(len(upper), index, np.array(cost, float))
    model.changeColsIntegrality(len(upper), index, np.array([highspy.HighsVarType.kInteger] * len(upper)))

    def row(low, high, terms):
        model.addRow(low, high, len(terms), np.array([i for i, _ in terms], np.int32), np.array([v for _, v in terms], float))

    for c, m in sizes:
        leave = [(i, 1) for (c2, m2, _), i in out.items() if (c2, m2) == (c, m)]
        row(0, 0, leave + [(into[c, m, n], -1) for n in range(len(nodes))])
    for n, (memory, cores) in enumerate(nodes):
        for axis, room in ((1, memory * memory_percent / 100), (0, cores * per_core)):
            size = lambda kind: (kind[0], kind[1])[axis]
            used = sum(size(kind) * kind[2] for kind in kinds[n])
            gone = [(out[c, m, n], -size((c, m))) for c, m, _ in kinds[n]]
            come = [(into[c, m, n], size((c, m))) for c, m in sizes]
            row(-highspy.kHighsInf, room - used, gone + come)
    model.run()
    info = model.getInfo()
    status = model.modelStatusToString(model.getModelStatus())
    value = "infeasible" if "nfeasible" in status else f"{info.objective_function_value:.0f}"
    print(path.split("/")[-1].removesuffix(".txt"), memory_percent, per_core, value, f"{info.mip_dual_bound:.1f}", flush=True)
