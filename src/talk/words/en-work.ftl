# What the bot says in English of work on nodes and of plans that begin later or are taken back.

plan-begins = Begins at { $at }
plan-begins-in-window = Begins when the window opens: { $at }
plan-held = ✗ Held, and nothing was begun:
    { $why }.
    Refresh makes a new plan.
round-title = { $n ->
    [one] Maintenance of { $n } node:
   *[other] Maintenance of { $n } nodes, one by one:
}
round-node-worked = ✓ { $node }: done, { $who }, { $at }
round-node-skipped = » { $node }: skipped, { $who }, { $at }
round-node-now = ▸ { $node }: { $forecast }
round-node-waits = · { $node }: { $forecast }
round-forecast-empty = empty
round-plan = From its turn on a node takes no VMs
    until you say that it is done.
round-nothing-to-move = ✓ There was nothing to move.
round-forecast-stay = { $n ->
    [one] { $n } stays
   *[other] { $n } stay
}
round-stopped = ■ Maintenance stopped by { $who }.
    { $node } takes no VM until /include.
round-over = ✓ The maintenance is over.
round-goes-on = It goes on with plan { $plan }.
round-empty = ✓ { $node } is empty: do your work.
round-not-empty = ⚠ { $node } is not empty.
    Move or stop by hand what stays
    and try again, or skip the node.
round-gone = ⚠ { $node } is no longer in VMmanager.
    Skip it, or stop the maintenance.
round-unseen = ⚠ { $node } could not be checked.
    Try again, or skip the node.
round-cancelled = The maintenance is stopped: plan { $plan } ({ $cluster }) was its last.
round-several-clusters = These nodes belong to several clusters. Name nodes of one.
round-cannot-hold = ✗ The cluster cannot hold this, so nothing begins. One after the other:
round-holds = { $node }: { $moved } of { $of } VMs find a place, { $memory }
plan-takes = Takes about { $lasts }
plan-left = ~{ $lasts } left
undo-plan = Undoes plan { $plan }.
drain-plan = Empties { $node }.
    It takes no VM until /include.
drain-done = ✓ { $node } is empty: do your work.
    Then: /include { $node }
drain-not-done = ⚠ { $node } is not empty.
    It takes no VM until /include.
drain-gone = ⚠ { $node } is no longer in VMmanager.
drain-unseen = ⚠ { $node } could not be checked.
    It takes no VM until /include.
drain-came = also on it: { $vm },
    which came meanwhile
drain-stays = stays: { $vm }
whatif-drain-title = If { $node } were emptied, cluster { $cluster }:
whatif-drain-empty = ✓ No VM is on it.
whatif-drain-all = ✓ { $vms } would leave it: { $migrations }, { $memory }
whatif-drain-some = ⚠ { $moved } of { $of } VMs would leave it: { $migrations }, { $memory }
whatif-drain-next = Nothing is changed. /drain { $node } makes the plan.
whatif-lose-title = If { $node } were lost, cluster { $cluster }:
whatif-lose-none = ✓ No VM is running on it.
whatif-lose-all = { $n ->
    [one] ✓ The one running VM has a place elsewhere.
   *[other] ✓ All { $n } running VMs have a place elsewhere.
}
whatif-lose-some = ⚠ { $placed } of { $of } running VMs have a place elsewhere. Without one:
whatif-homeless = { $vm }: { $why }
whatif-over = ⚠ Would be over: { $node } ({ $over })
whatif-add-title = { $n ->
    [one] { $n } more VM of { $size } and { $vcpus } vCPU, cluster { $cluster }:
   *[other] { $n } more VMs of { $size } and { $vcpus } vCPU each, cluster { $cluster }:
}
whatif-add-all = ✓ There is room for that, but not for one more.
whatif-add-more = ✓ There is room for that, and for { $n } more.
whatif-add-some = ⚠ { $fit } of { $of } fit, { $missing } do not.
whatif-add-closed = Nodes that take none: { $why }
whatif-vcpus-guessed = Counted with { $vcpus } vCPU, as VMs of that memory have here on average.
whatif-taker = { $node }: +{ $vms }, memory { $before } → { $after } %
whatif-changes-nothing = Nothing is changed.
drain-empty = { $node } is empty already: no VM is on it.
drain-stuck = No VM can leave { $node }:
button-approve-window = Approve, run in the window
button-call-off = Call off
button-round-done = Done, next
button-round-again = Try again
button-round-skip = Skip it
button-round-stop = Stop the maintenance
button-even-out = Even the cluster out
button-undo = Undo
button-node-back = The node is back: even out
verdict-round = Maintenance, node { $number } of { $of }: { $node }
    being emptied, plan { $plan }
verdict-round-hand = Maintenance, node { $number } of { $of }: { $node }
    waits for you, plan { $plan }
verdict-begins = Plan { $plan } begins at { $at }
called-off = Plan { $plan } ({ $cluster }) is called off: nothing of it had begun.
nothing-waits = No plan waits for approval.
at-approved = Plan { $plan } ({ $cluster }) is approved and begins at { $at }. It is checked anew then.
at-counted = Plan { $plan } ({ $cluster }), to begin at { $at }.
which-waits = Which plan? Waiting: { $plans }.
refused-round = The maintenance went on since, or is over: see its newest message.
refused-held = Held: { $why }. Nothing is decided; try again when that is over.
refused-undo = Nothing of plan { $plan } can be undone. { $why }
held-cluster = Held: nothing is done in { $cluster } at the moment: { $why }.
press-approved-later = Approved: the plan begins at { $at }.
press-round-next = Plan { $plan } goes on with the maintenance.
press-round-stopped = The maintenance is stopped.
press-even-out = Plan { $plan } evens the cluster out once it is approved.
press-undo = Plan { $plan } undoes it once it is approved.
