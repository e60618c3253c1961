#!/usr/bin/env python3
"""Writes a cluster of the bench's neutral JSON compactly: compact.py CLUSTER.json > CLUSTER.txt

One line per node: memory in MiB less the reserve, cores, then for each kind of VM `vcpus*memory_mib*count`.
"""
import collections
import json
import sys

cluster = json.load(open(sys.argv[1]))
vms = collections.defaultdict(collections.Counter)
for vm in cluster["vms"]:
    vms[vm["node"]][vm["vcpus"], vm["mem_mb"]] += 1
for node in cluster["nodes"]:
    kinds = " ".join(f"{c}*{m}*{n}" for (c, m), n in sorted(vms[node["name"]].items()))
    print(node["mem_mb"] - node["mem_reserve_mb"], node["cores"], kinds)
