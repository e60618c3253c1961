#!/usr/bin/env python3
"""Exact optima of a cluster by HiGHS (pip install highspy numpy).

    optima.py SECONDS MEMORY_PERCENT VCPUS_PER_CORE MOVES CLUSTER.txt...

With MOVES 0: the least cost that takes every node under both thresholds. Else: the least overload (the sum of
use / threshold - 1 where that is positive) that so many moves can leave.

VMs of one size are interchangeable and a move costs the same wherever it goes, so only how many VMs of each size leave
and arrive at each node matters. Prints for each file: name, thresholds, moves, the optimum or `infeasible`, its bound.
"""
import sys

import highspy
import numpy as np

seconds, memory_percent, per_core = (float(text) for text in sys.argv[1:4])
moves = int(sys.argv[4])
for path in sys.argv[5:]:
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
            cost.append(0 if moves else m / 1024 + 4)
        for c, m in sizes:
            into[c, m, n] = len(upper)
            upper.append(sum(count for other in kinds for c2, m2, count in other if (c2, m2) == (c, m)))
            cost.append(0)
    discrete = len(upper)
    over, receives = {}, {}
    for n in range(len(nodes) if moves else 0):
        receives[n] = len(upper)
        upper.append(1)
        cost.append(0)
    discrete = len(upper)
    for n, (memory, cores) in enumerate(nodes if moves else []):
        for axis, room in ((1, memory * memory_percent / 100), (0, cores * per_core)):
            over[n, axis] = len(upper)
            upper.append(highspy.kHighsInf)
            cost.append(1 / room)
    model.addVars(len(upper), np.zeros(len(upper)), np.array(upper, float))
    index = np.arange(len(upper), dtype=np.int32)
    model.changeColsCost(len(upper), index, np.array(cost, float))
    kind = [highspy.HighsVarType.kInteger if i < discrete else highspy.HighsVarType.kContinuous for i in index]
    model.changeColsIntegrality(len(upper), index, np.array(kind))

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
            excess = [(over[n, axis], -1)] if moves else []
            row(-highspy.kHighsInf, room - used, gone + come + excess)
            if moves and used > room:
                # Who receives is not over: with one arrival or more nothing of the excess may be left.
                row(-highspy.kHighsInf, used - room, [(over[n, axis], 1), (receives[n], used - room)])
        if moves:
            row(-highspy.kHighsInf, 0, [(into[c, m, n], 1) for c, m in sizes] + [(receives[n], -moves)])
    if moves:
        row(-highspy.kHighsInf, moves, [(i, 1) for i in out.values()])
    model.run()
    info = model.getInfo()
    status = model.modelStatusToString(model.getModelStatus())
    value = "infeasible" if "nfeasible" in status else f"{info.objective_function_value:.6g}"
    name = path.split("/")[-1].removesuffix(".txt")
    print(name, memory_percent, per_core, moves, value, f"{info.mip_dual_bound:.6g}", flush=True)
