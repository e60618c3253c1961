# What the bot says in English. Arguments come escaped; numbers that do not choose a plural come as text.

count-vms = { $n ->
    [one] { $n } VM
   *[other] { $n } VMs
}
count-nodes = { $n ->
    [one] { $n } node
   *[other] { $n } nodes
}
count-migrations = { $n ->
    [one] { $n } migration
   *[other] { $n } migrations
}
unit-seconds = { $n } s
unit-minutes = { $n } min
unit-hours = { $n } h
unit-days = { $n } d
until = until { $until }
continued = { $title }
    part { $n }
more-lines = … and { $n } more

resource-memory = memory
resource-cpu = vCPU per core
resource-load = load per core
excess-memory = memory { $value } % &gt; { $threshold } %
excess-cpu = cpu { $value } &gt; { $threshold } vCPU per core
excess-load = load { $value } &gt; { $threshold } per core
excess-margin = margin: { $resource } { $value }, threshold { $threshold }
disk = disk { $size }

role-viewer = viewer
role-operator = operator
role-admin = admin

mode-off = off (only on command)
mode-propose = propose (cycles propose plans)
mode-auto = auto (cycles carry plans out)

direction-source = not a source
direction-target = not a target
direction-both = neither source nor target

by-auto = automatic mode
by-command-line = the command line
by-standing = the autopilot of { $who }
by-nightly = AUTOPILOT of the configuration

outcome-done = moved
outcome-failed = failed
outcome-lost = outcome unknown
outcome-dropped = dropped

ending-not-offered = VMmanager does not offer this target
ending-node-occupied = the migration of { $vm } (number { $n }) occupies a node
ending-already-moving = the VM has a migration that has not ended
ending-somebody-else = somebody else worked on the VM while VMmanager put the order off
ending-busy = VMmanager is busy, so it is tried again later: { $why }
ending-not-understood = VMmanager does not understand the order, which says nothing of the VM: { $why }
ending-vmmanager = VMmanager: { $why }
ending-not-allowed = VMmanager does not let this account do what a migration needs (perhaps it may only read): { $why }
ending-cancelled = cancelled by { $who }
ending-given-up = { $who } gave up watching it
ending-dry-run = nothing is ordered in a dry run
ending-stopped = the bot was stopped before VMmanager took the order
ending-restarted = the bot was restarted
ending-panicked = an error in the bot; its log has the details
ending-nothing-began = no answer to the order, and nothing began
ending-no-answer = no answer to the order, and { $place }
ending-task-vanished = the task vanished; { $place }
ending-task-complete = the task is complete, yet { $place }
ending-task-word = the task is over with the status { $word }, and { $place }
ending-task-wordless = the task is over without a status, and { $place }
ending-task-said = { $said }
ending-task-cancelled = the task was cancelled
ending-task-failed = the task failed and gave no reason
vm-on-target = the VM is on its target
vm-on-source = the VM is on its source
vm-elsewhere = the VM is on node { $node }

unfit-vm-gone = the VM is gone
unfit-node-gone = node { $node } is gone
unfit-moved = the VM is on node { $node } now
unfit-already-there = the VM is on the target already
unfit-vm = the VM stays: { $why }
unfit-target = the target refuses: { $why }
unfit-held = nothing is done in the cluster: { $why }
unfit-no-relief = it would not help any more

why-relieve = { $excess }
why-ahead = in advance: { $resource } { $value }, threshold { $threshold }
why-make-room = makes room for { $vm } ({ $id })
why-level = evens out: imbalance { $before } → { $after }
why-undo = back to where it was before plan { $plan }
why-drain = its node is to be emptied

caution-newer-kernel = the target's kernel is newer ({ $target }, from { $source }), nothing else helps
caution-moved-lately = moved a short while ago, and would be left alone until { $until }
caution-same-cpu = host-passthrough, between nodes of the same CPU; nothing else helps
caution-unknown-cpu = host-passthrough, and it is not known whether both nodes have the same CPU: the VM may freeze; nothing else helps
caution-soft-target = fills the target beyond its target threshold ({ $resource }), nothing else helps

skip-state = state { $state }
skip-node-state = its node is closed: { $why }
skip-pinned = pinned
skip-host-passthrough = its CPU mode is host-passthrough
skip-not-worth-it = its migration takes off too little load
skip-rests-moved = moved a short while ago, left alone until { $until }
skip-rests-failed = its migration failed, left alone until { $until }
skip-rests-failed-again = its migration failed again and again, left alone until { $until }
skip-rests-pulled = somebody moved it back each time, left alone until { $until }
skip-rests-busy = VMmanager was busy with it, left alone until { $until }
skip-in-flight = its migration is under way, or its outcome is unknown
skip-excluded-source = its node is closed as a source
skip-no-room-back = no room for it back on { $node }: { $resource } { $value }, and { $most } is allowed
skip-not-back = { $node } does not take it back: { $why }
skip-not-there = it is not where that plan had put it
skip-no-target = no target: { $why }
kind-rests-moved = moved a short while ago
kind-rests-failed = rests after a failed migration
kind-rests-failed-again = left alone longer, its migration failed again and again
kind-rests-pulled = somebody moved it back each time
kind-rests-busy = VMmanager was busy with it

block-iso = mounted ISO image
block-snapshots = snapshots
block-balancer-mode = balancer_mode is off
block-rescue = rescue mode
block-vm5 = VMmanager 5 restrictions
block-node-forbids = its node does not allow live migration
block-nesting = nested virtualization
block-unknown-size = VMmanager does not say how large it is
block-unreadable = a part of its record cannot be read
state-unreadable-vm = the record of a VM on it cannot be read in full
block-task = VMmanager is at work on it: { $task }
block-unexplained = the snapshot file says that it cannot be moved

refusal-memory = memory over its threshold
refusal-cpu = vCPU per core over its threshold
refusal-load = load per core over its threshold
refusal-reserve = memory reserve
refusal-vm-limit = VM limit
refusal-older-qemu = older QEMU
refusal-qemu-too-old = QEMU older than { $least }
refusal-newer-kernel = newer kernel
refusal-other-os = other family of operating systems
refusal-other-cpu = another CPU, and the VM is host-passthrough
refusal-too-few-cores = fewer cores than the VM has vCPUs
refusal-disk = too little disk free
fault-libvirt = VMmanager reports a libvirt error
fault-ha = VMmanager reports a high-availability error
fault-routing = VMmanager reports a routing error (bird, frr)
refusal-anti-affinity = anti-affinity
refusal-excluded = closed as a target
refusal-maintenance = maintenance
refusal-creation-blocked = closed for new VMs in VMmanager
refusal-not-active = not active
refusal-unreadable = records that cannot be read in full
refusal-unknown-capacity = capacity unknown
refusal-other-cluster = another cluster
refusal-same-node = there is no other node
refusal-real-memory = more memory allocated than it really has
refusal-memory-in-use = too little memory really free
refusal-memory-pressure = waiting for memory
refusal-cpu-pressure = waiting for CPU
refusal-declined = VMmanager declined it for this VM a while ago

obstacle-limit = { $n ->
    [one] the limit of { $n } migration is used up
   *[other] the limit of { $n } migrations is used up
}
obstacle-excluded = the node is closed as a source
obstacle-state = the node is closed: { $why }
obstacle-immovable = { $n ->
    [one] { $n } VM stays: { $why }
   *[other] { $n } VMs stay: { $why }
}
obstacle-no-target = { $n ->
    [one] no target for its movable VM: { $why }
   *[other] no target for its { $n } movable VMs: { $why }
}
obstacle-not-enough = { $n ->
    [0] nothing on it can be moved
    [one] its movable VM does not suffice
   *[other] its { $n } movable VMs do not suffice
}
obstacle-left-out = what would relieve it is left out
obstacle-held = nothing is done in this cluster: { $why }
needs-less = needs { $amount } less
needs-vcpus = { $amount } vCPU
needs-cores = { $amount } cores of load

hold-incomplete = the picture is incomplete: { $why }
hold-not-kvm = { $kind } is not balanced, only KVM
hold-foreign = a migration that this bot did not order is running (task { $task })

flaw-short-list = the list of { $list } has { $rows } of { $promised } rows
flaw-unreadable = { $n ->
    [one] the list of { $list } has { $n } unreadable row: row { $first } { $shape }
   *[other] the list of { $list } has { $n } unreadable rows: the first, row { $first }, { $shape }
}
flaw-shape-no-id = has no id that can be read
flaw-shape-no-object = is no readable record at all
flaw-doubled = { $n ->
    [one] the list of { $list } has { $n } row twice
   *[other] the list of { $list } has { $n } rows twice
}
flaw-damaged = in the list of { $list } the row { $id } cannot be read at { $fields }
flaw-tasks-refused = it is unknown which migrations run: { $why }
flaw-unlisted-cluster = the cluster has nodes but is not in the list of clusters
flaw-node-without-cluster = node { $node } does not name its cluster
flaw-vms-without-node = { $n ->
    [one] { $n } VM is on no known node: { $example }
   *[other] { $n } VMs are on no known node, for example { $example }
}
flaw-shrank = it had { $before } VMs and now seems to have { $after }
flaw-broken-plan = { $n ->
    [one] the plan broke { $n } rule of the planner; the log has it
   *[other] the plan broke { $n } rules of the planner; the log has them
}
list-clusters = clusters
list-nodes = nodes
list-vms = VMs
list-tasks = tasks

note-every-vm-opted-out = Every VM says balancer_mode off: nothing can be moved.
note-unmeasured = No fresh measurement of { $nodes }: counted by allocation.
note-settling = { $node } is over its load threshold, but a VM left it a moment ago: it counts when read at { $until } or later.
note-strained = { $node } is within its thresholds, but: { $what }
note-load-is-not-cpu = The load of { $node } waits for disks or the like, not for CPU: { $waits }.

note-builtin-balancer = VMmanager's own balancer may be on ({ $key }).
note-foreign = Somebody else's migration runs (task { $task }): nothing is ordered.
note-unknown-selector = The settings name { $selector }, but there is nothing of that name.
note-unreadable-node = The record of { $node } cannot be read in full: nothing is moved there or from there.
note-nameless-vm = The record of a VM on { $node } has no id that can be read: nothing is moved there or from there. The log says which row it is.
note-unreadable-vms = { $n ->
    [one] The record of { $vms } on { $node } cannot be read in full: nothing is moved there or from there.
   *[other] The records of { $vms } on { $node } cannot be read in full: nothing is moved there or from there.
}
note-closed-after-failures = { $n ->
    [one] { $node } is closed after one failed migration{ $until }.
   *[other] { $node } is closed after { $n } failed migrations{ $until }.
}
note-closed-until = , until { $until }
note-steps-dropped = { $n ->
    [one] One step broke a rule of the planner and was left out; the log says which rule.
   *[other] { $n } steps that broke a rule of the planner, or needed one that did, were left out; the log says which rules.
}
note-faulty = Nothing is moved to { $node }: { $what }.
note-mixed-os = The cluster has nodes of the Red Hat and of the Debian family, which VMmanager does not support: no VM goes from one to the other.
note-sums-differ-on = What VMmanager says is allocated on { $nodes } is not what their VMs add up to; the larger counts.
note-sums-differ = { $node }: VMmanager says { $of_node } allocated, its VMs add up to { $of_vms }; the larger counts.

plan-title = { $n ->
    [one] Plan { $plan }, cluster { $cluster } ({ $id }): { $n } migration
   *[other] Plan { $plan }, cluster { $cluster } ({ $id }): { $n } migrations
}
plan-pending = ⏳ Waits for approval
plan-counted = { $have } of { $need }
plan-approved-by = Approved by { $who }
plan-checked = Checked against the present state.
plan-ended = Ended at { $at }
plan-running = ▸ Running since { $since }
plan-running-ended = { $ended } of { $of } ended
plan-stops = ■ Stops after the running migration,
    as { $who } asked
plan-done = ✓ done:
plan-partly = ⚠ partly:
plan-stopped = ■ stopped by { $who }:
tally-moved = { $n } moved
tally-failed = { $n } failed
tally-lost = { $n } with unknown outcome
tally-dropped = { $n } dropped
tally-left-out = { $n } left out
plan-voided = ⚠ The plan changed, votes are void:
plan-all-left-out = All is left out: nothing to approve.
plan-left-out-before = Also left out of later plans:
    { $vm }, by { $who }
plan-rejected = ✗ Rejected by { $who } at { $at }
plan-rejection-holds = Cycles do not propose the same again
    until { $until }.
    /balance { $cluster } lifts this.
plan-left-out-holds = Cycles do not propose what is left out
    until { $until }.
    /balance { $cluster } lifts this.
plan-expired = ✗ Expired at { $at }
    Refresh makes a new plan.
plan-superseded = ✗ Plan { $plan } took its place
plan-stale = ✗ The cluster has moved on:
    this plan does not fit any more.
plan-shown = Only shown: nothing is carried out
origin-schedule = By schedule at { $at }
origin-person = Asked for by { $who } at { $at }
origin-once = From the command line at { $at }
origin-replaces = In place of plan { $plan } at { $at }
figures-over = Overloaded nodes { $change }
figures-memory = Fullest memory { $change } %
figures-cpu = Highest vCPU per core { $change }
figures-imbalance = Imbalance { $change }
predicted-over = Predicted: overloaded nodes { $over }
figures-later = Figures without what is left out
    come with the next look.
node-seen = { $node }: { $before } → { $after } %
node-seen-unlike = predicted { $predicted } %
unseen = The result was not checked.
unseen-why = ⚠ The result could not be checked:
    { $why }
unseen-timed-out = VMmanager took too long
unseen-cluster-gone = the cluster is gone
incomplete = ⚠ The picture is incomplete:
    { $why }
still-overloaded = ⚠ { $node } stays overloaded
cut-by-limit = ⚠ { $why }.
    Still over then:
cut-by-choice = ⚠ Still over without what is left out:
left-alone = { $vms } left alone:
step-waits = waits
step-unfit = does not fit without what is left out:
step-left-out-by = left out by { $who }
step-same = { $outcome }, for the same reason as { $step }
step-task = task { $task }
step-rests = left alone until { $until }
step-runs = running since { $since }
step-slow = running since { $since }, slow

button-approve = Approve
button-reject = Reject
button-refresh = Refresh
button-keep-first = Only 1–{ $n }
button-keep-all = All again
button-only-node = Only { $node } ({ $n })
button-cancel = Stop after this migration
button-take = I am on it
button-snooze = Snooze 1 h
button-look-again = Look again
button-give-up = Give up watching
button-give-up-surely = Give up: outcome unknown
give-up-title = Give up watching plan { $plan } in { $cluster }?
give-up-means = The outcome is recorded as unknown, the rest of the plan is dropped and the cluster is free for new plans. VMmanager's task is not stopped: while it runs, its VM stays alone and its target keeps the room.
gave-up = Plan { $plan } ({ $cluster }) is not watched any longer; the outcome is recorded as unknown.
glimpse = { $vm }: task{ $task }: { $says }; { $place }.
glimpse-runs = waits or runs
glimpse-complete = complete
glimpse-failed = failed
glimpse-wordless = over, without a status
glimpse-nothing = VMmanager shows none
button-cancel-plan = Stop plan { $plan }, { $cluster }
button-balance = Balance { $cluster }
button-newer = ← newer
button-older = older →

check-message = vm-balancer check: the bot can write here.

board-off = This board is no longer kept up to date. How things stand: /status
board-as-of = As of { $at }
digest-title = The last 24 hours
digest-moved = { $n ->
    [0] No VM was moved.
    [one] { $n } VM was moved.
   *[other] { $n } VMs were moved.
}
digest-failed = { $n ->
    [one] ⚠ { $n } migration failed, or its outcome is unknown: /history
   *[other] ⚠ { $n } migrations failed, or their outcome is unknown: /history
}
digest-plans = { $n ->
    [one] { $n } plan came to nothing or lost steps.
   *[other] { $n } plans came to nothing or lost steps.
}
verdict-none-over = ✓ No node is over its thresholds
verdict-over = { $n ->
    [one] ⚠ { $n } node over
   *[other] ⚠ { $n } nodes over
}
verdict-worst = { $n ->
    [one] { $node }: { $why }
   *[other] worst { $node }: { $why }
}
verdict-waits = Plan { $plan } waits until { $until }
status-closed = Closed nodes: { $n }, see /exclusions
status-more-running = … and { $n } more: /running
status-more-nodes = … and { $n } more: /status { $cluster }
status-more-clusters = { $over ->
    [0] … and { $n } more clusters, none overloaded
   *[other] … and { $n } more clusters, { $over } nodes over
}
    /status CLUSTER
status-mode = Mode: { $mode }
status-away = ⚠ VMmanager is unavailable: { $why }
status-restored = ⚠ The store was restored from its export
    An admin confirms with /resume;
    until then plans wait for approval.
status-paused = ‖ Paused by { $who }
status-next-cycle = Next cycle { $at }
status-no-next-cycle = No cycle is due
status-window-closed = Outside the balance window:
    automatic cycles migrate nothing
status-last-cycle = Last cycle { $at }
status-last-trouble = ⚠ Last cycle { $at }: { $why }
status-no-picture = Nothing is known of the platform yet.
status-cluster = { $cluster } ({ $id }): { $nodes }, { $vms }
status-cluster-over = { $over ->
    [0] none overloaded
   *[other] { $over } overloaded
}
status-memory = fullest memory { $memory } %
status-cpu = highest vCPU per core { $cpu }
status-imbalance = imbalance { $imbalance }
status-page = Nodes { $from }–{ $to } of { $n }
button-nodes-before = ← { $from }–{ $to }
button-nodes-after = { $from }–{ $to } →
status-measured = measured { $age } ago:
    highest load per core { $load }
    memory really used up to { $memory }
status-unmeasured = ⚠ no fresh measurement,
    allocation counts: { $nodes }
status-would-move = { $n ->
    [one] A plan would move { $n } VM
   *[other] A plan would move { $n } VMs
}
status-stopped = ⚠ Automatic runs stopped after failures
    To go on: /resume
status-as-of = As of { $at }, { $age } ago
held = ⚠ Nothing is done in this cluster:
    { $why }
foreign = ⚠ Somebody else's migration runs:
    task { $task }
foreign-of-vm = ⚠ Somebody else's migration runs:
    { $vm }, task { $task }

node-title = Node { $node } ({ $id }), cluster { $cluster }
node-unknown = capacity unknown
node-cores = { $n ->
    [one] { $n } core
   *[other] { $n } cores
}
node-cpu = CPU { $model }
node-newer-kernel = { $n ->
    [one] Its kernel is newer than that of { $n } node, whose VMs it takes only where nothing else helps
   *[other] Its kernel is newer than that of { $n } nodes, whose VMs it takes only where nothing else helps
}
node-kernel = kernel { $version }
node-disk-free = { $free } of disk free
node-measured = Measured { $age } ago ({ $at }):
node-measured-old = ⚠ Measured { $age } ago ({ $at }),
    too old, so allocation counts:
node-load-waits = Over the load threshold in one reading;
    it counts when the next one is, too
node-load-settles = Over the load threshold, but a VM left;
    it counts when read at { $until } or later
measured-briefly = measured { $age } ago: { $what }
measured-briefly-old = ⚠ measured { $age } ago, too old: { $what }
measured-never = not measured, allocation counts
measured-never-why = not measured ({ $why }), allocation counts
node-last-try = ⚠ The last try to measure it failed: { $why }
unmeasured-refused = the connection was refused
unmeasured-unreachable = it cannot be reached
unmeasured-silent = no answer in time
unmeasured-host-key-unknown = its host key is not known
unmeasured-host-key-changed = its host key is not the known one
unmeasured-host-key-revoked = its host key is revoked
unmeasured-host-key-unchecked = the known hosts cannot be used
unmeasured-handshake = no SSH connection could be negotiated
unmeasured-login = the login was refused
unmeasured-lost = the connection was lost
unmeasured-command = the command was refused or failed
unmeasured-unreadable = its answer is no reading
memory-really-used = memory really used { $percent }
pressure-cpu = waiting for CPU { $percent } of the time
pressure-memory = waiting for memory { $percent } of the time
pressure-io = waiting for storage { $percent } of the time
vm-measured = Uses { $cores } cores of CPU,
    measured { $age } ago
node-not-overloaded = Not overloaded
node-overloaded = ⚠ Overloaded:
node-source = { $n ->
    [0] Source: open, but no VM can be moved
    [one] Source: { $n } VM may leave it
   *[other] Source: { $n } VMs may leave it
}
node-no-source = Not a source: { $why }
node-target = Target: room for { $room }
node-no-target = Not a target: { $why }
vm-title = VM { $vm }
    on { $node }
vm-passthrough = host-passthrough
vm-stays = Stays: { $why }
vm-movable = { $n ->
    [one] Movable; { $n } node would take it:
   *[other] Movable; { $n } nodes would take it:
}
vm-refused = Not possible:
vm-no-other-node = Movable, but there is no other node
vm-no-target = Movable, but no node takes it:

running-title = { $n ->
    [one] { $n } migration is running
   *[other] { $n } migrations are running
}
running-since = since { $since } ({ $lasts })
running-plan = plan { $plan }
nothing-running = Nothing is running.
plan-cancelled = Plan { $plan } ({ $cluster }) stops after its running migration.
no-exclusions = No node is closed.
exclusions-title = Closed nodes
excluded-configured-source = by EXCLUDE_SOURCE_NODES: { $selector }
excluded-configured-target = by EXCLUDE_TARGET_NODES: { $selector }
excluded-configured = by the configuration
excluded-by = by { $who } at { $at }
excluded-failures = { $n ->
    [one] after { $n } failed migration
   *[other] after { $n } failed migrations
}
excluded-declined = { $n ->
    [one] VMmanager declined it for { $n } VM
   *[other] VMmanager declined it for { $n } VMs
}

audit-title = Who did what, newest first
audit-empty = Nothing is recorded.
audit-approve = approved
audit-autopilot = under the autopilot
audit-balance = asked for a plan
audit-cancel = stopped
audit-change = changed
audit-choose = chose steps
audit-command = wrote
audit-drain = empties
audit-include = opened
audit-maintenance = maintenance
audit-press = pressed
audit-refresh = refreshed
audit-refused = refused
audit-reject = rejected
audit-restored = store restored
audit-too-old = too late
audit-undo = undoes
audit-of-proposal = plan { $rest }
audit-of-cluster = cluster { $rest }
audit-of-node = node { $rest }
history-title = History, newest first
history-title-of = History of { $of }, newest first
history-empty = Nothing was moved yet.
history-days = { $n ->
    [one] Of the last day
   *[other] Of the last { $n } days
}
history-nothing-of = Nothing in the history is called { $of }:
    no VM, node, cluster or person.
history-searched = Searched as far as { $to };
    the buttons go on.
history-plan = Plan { $plan }, { $cluster }
history-lasts = took { $lasts }
history-dropped = { $n ->
    [one] { $n } step dropped
   *[other] { $n } steps dropped
}
history-csv = { $n ->
    [one] { $n } migration as CSV
   *[other] { $n } migrations as CSV
}
history-csv-cut = There are more; to get all: <code>vm-balancer history --csv</code>
button-csv = CSV
history-open = open

start = I keep the VMs of VMmanager clusters well spread over their nodes.
help = What you can ask for:
your-role = Your role: { $role }
help-needs = Needs the role { $role }.
help-examples = For example: { $examples }
help-start = about the bot
help-help = the commands, or one of them
help-status = clusters, overloaded nodes, mode, what runs
help-node = one node: why it is (not) a source or a target
help-vm = one VM: why it can (not) be moved
help-why = why a VM or a node is (not) moved, a source, a target
help-whatif = what would be if a node were emptied or lost, or VMs were added
help-drain = a plan that empties a node for maintenance
help-balance = makes a plan and posts it for approval
help-history = what was moved, newest first
help-running = what runs now
help-maintenance = empties nodes one after the other, each until you say that it is done
help-at = approves a plan that waits, to begin at a time
help-reject = rejects a plan, with a reason
help-audit = who did what
help-cancel = stops a plan after its running migration
help-dryrun = dry run: nothing is carried out; an admin ends it
help-mode = what a cycle does
help-pause = stops automatic cycles
help-resume = starts automatic cycles again
help-autopilot = lets overload be relieved without asking, for a while and within limits
help-exclude = closes a node as source, target or both; a pattern such as kvm-* closes what matches now
help-include = opens a closed node again, or all that match a pattern
help-exclusions = closed nodes
help-settings = thresholds and limits in force, and where each comes from
help-set = changes a setting; “default” takes the change back
help-lang = your language: en or ru; with “chat”, that of this chat, for admins
help-rests = VMs that rest after a migration or a failure; an admin ends a rest
help-whoami = your id and your role
whoami = { $who }, id { $id }
whoami-chat = This chat: { $chat }

unknown-command = There is no command /{ $typed }.
did-you-mean = Did you mean { $similar }?
see-help = /help shows what you can ask for.
usage = Usage: { $usage }
problem-missing = The command is incomplete.
problem-too-much = I do not understand “{ $word }”.
problem-not-one-of = “{ $found }” is none of: { $expected }.
problem-not-a-time = “{ $word }” is not a time. Write it like 30m, 2h or 1d.
problem-not-a-size = “{ $word }” is not a size. Write it like 8G or 512M.
problem-not-a-number = “{ $word }” is not a number that I can take here.
problem-not-a-time-of-day = “{ $word }” is not a time of the day. Write it like 05:00.
problem-open-quote = A quote is opened and never closed.
too-old = { $command } from { $at } was read too late and is not carried out. Say it again if you still want it.
needs-role = This needs the role { $needed }; yours is { $have }.
admins-unknown = Telegram did not say who administers this chat; try again in a minute.
stranger-anonymous = You write as an anonymous administrator ({ $id }), who could be anybody. Write as yourself; /whoami then tells your id.
stranger-channel = You write as a channel or a chat ({ $id }). Write as yourself.
stranger-not-listed = You are not on the access lists. Your id is { $id }: an administrator can add it to TELEGRAM_VIEWER_IDS, TELEGRAM_OPERATOR_IDS or TELEGRAM_ADMIN_IDS.
stranger-other-chat = This chat is not configured. Your id is { $id }, this chat's is { $chat }: an administrator can set TELEGRAM_CHAT_ID or add your id to a list.

missed-cluster = There is no cluster { $found }.
missed-node = There is no node { $found }.
missed-vm = There is no VM { $found }.
missed-vm-or-node = There is no VM or node { $found }.
missed-known = Known: { $known }
missed-several = { $found } could be several: { $choices }. Name one by its id: #{ $id }.
choice-in = { $name } ({ $id }) in { $cluster }
which-cluster = Which cluster?
which-plan = Which plan? Running: { $plans }.
refused-not-ours = Cluster { $cluster } ({ $id }) is not managed here: CLUSTER_IDS leaves it out.
refused-busy = Plan { $plan } is running in this cluster; wait for it, or /cancel.
refused-no-plan = There is no plan { $plan }.
refused-approved = { $who } approved plan { $plan } at { $at }.
refused-running = Plan { $plan } has been running since { $at }; approved by { $who }.
refused-done = Plan { $plan } ended at { $at }; approved by { $who }.
refused-rejected = { $who } rejected plan { $plan } at { $at }.
refused-superseded = Plan { $who } took the place of plan { $plan } at { $at }.
refused-stale = Plan { $plan } did not fit any more at { $at }.
refused-expired = Plan { $plan } expired at { $at }; Refresh makes a new one.
refused-nothing-left = Everything in plan { $plan } is left out, so there is nothing to approve. Take something in again, or reject it.
refused-already-counted = Your approval is counted already: { $have } of { $need }.
refused-own = The person who asked for a plan cannot approve it: { $have } of { $need }.
refused-dry-run = This is a dry run: nothing is carried out.
trouble-vmmanager = VMmanager is unavailable: { $why }
trouble-planning = ❌ The plan could not be computed: { $said }
trouble-store = The store cannot be used: { $why }

quotation = “{ $said }”
recorded = { $said }
said-nothing = no reason given

api-settings = its settings cannot be used: { $why }
settings-user-in-address = the address must not hold a user or a password
settings-client = the HTTP client cannot be made: { $said }
settings-no-certificate = the file of the private authority holds no PEM certificate
settings-authority = the private authority cannot be read: { $said }
api-credentials = it does not accept the user and password or the token: { $why }
login-not-confirmed = the login is not confirmed: the account needs a further step; use an account without one
login-no-token = the login was answered without a token
login-rests = { $why } (next try in { $left })
api-no-login = there is no { $what }: VMmanager is older than 2024, or { $variable } is wrong
api-forbidden = no permission for { $what }: { $why }
api-put-off = it is unavailable, { $what } was put off
api-unavailable = it is unavailable, { $what } was put off for { $waited }
api-no-answer = no answer to { $what }: { $why }
silence-timed-out = timed out
silence-lost = connection failed
api-not-found = it does not know { $what }: { $why }
api-refused = it refused { $what }: { $why }
api-refused-numbers = it refused { $what }: { $why } ({ $numbers })
said-status = status { $status }
said-status-code = status { $status }, code { $code }
said-foreign = status { $status } with { $body }
api-unreadable = the answer to { $what } cannot be read: { $why }
answer-cut-off = it ends too early at line { $line } column { $column }: { $body }
answer-not-json = it is not JSON at line { $line } column { $column }: { $body }
answer-odd-shape = it has an unexpected shape at line { $line } column { $column }: { $body }
answer-too-long = it is longer than { $n } bytes
answer-vm-without-node = VM { $vm } does not say its node
body-empty = an empty body
body-object = { $n ->
    [one] a JSON object of { $n } byte
   *[other] a JSON object of { $n } bytes
}
body-list = { $n ->
    [one] a JSON list of { $n } byte
   *[other] a JSON list of { $n } bytes
}
body-page = { $n ->
    [one] a page of HTML or XML of { $n } byte
   *[other] a page of HTML or XML of { $n } bytes
}
body-text = { $n ->
    [one] a text of { $n } byte
   *[other] a text of { $n } bytes
}

store-locked = another vm-balancer uses { $path }
store-damaged = its files are damaged: { $why }
damage-emptied = it is empty, and there was one before
damage-missing = there is nothing to read
damage-end-lost = its end is lost: it has { $has } writes of { $of }
damage-entry-lost = migration { $n } of VM { $vm } is missing in the journal
damage-record = record { $record } cannot be read: { $said }
store-newer = a newer vm-balancer wrote it (version { $found }, this one reads up to { $known })
store-file = { $path } cannot be used: { $said }
store-closed = it is closed since an earlier failure: { $why }
store-opening = it is being opened again
store-unwritable = a record cannot be written: { $said }
store-no-entry = the journal has no migration { $n }
store-entry-ended = migration { $n } has ended already
store-no-proposal = it has no plan { $n }
export-cut-off = the export is cut off
export-count = the export has { $has } records and should have { $of }
export-unreadable = the export cannot be read: { $said }
store-in-flight = VM { $vm } has a migration that has not ended

ssh-no-credentials = no way to log in over SSH: neither a private key, nor a password, nor an SSH agent is given
ssh-key-file = private key { $path } cannot be read: { $said }
ssh-key-encrypted = private key { $path } is encrypted, and no passphrase is given
ssh-key-passphrase = private key { $path } does not open with the passphrase
ssh-key-public = { $path } is a public key; the private one is needed, which usually has the same name without .pub
ssh-key-form = { $path } is no private key of a known kind (RSA, ed25519 or ECDSA in the OpenSSH or PEM form): { $said }
ssh-known-hosts = known hosts { $path } cannot be read: { $said }
ssh-refused = connection to { $host } refused
ssh-unreachable = { $host } cannot be reached: { $said }
ssh-timeout = no answer within { $after } { $phase }
ssh-dropped = connection lost { $phase }
phase-queue = while waiting for an earlier reading
phase-connect = while connecting
phase-handshake = during the handshake
phase-auth = during the login
phase-command = during the command
ssh-key-unknown = host key of { $host } is unknown: { $found }; compare it on the node, then add it to the known hosts
ssh-key-changed = host key of { $host } has changed: expected { $expected }, found { $found }
ssh-key-revoked = host key of { $host } is revoked: { $found }
ssh-known-line = { $file } line { $line }
ssh-key-unchecked = host keys cannot be checked: { $why }
ssh-key-not-kept = the new key of { $host } cannot be kept in { $path }: { $said }
ssh-handshake = SSH handshake with { $host } failed: { $why }
ssh-no-host-key = the server showed no host key
ssh-login = login as { $user } failed: { $tried }; the server offers { $offered }
ssh-nothing-to-try = nothing to try
ssh-nothing-offered = nothing
login-open = no authentication
login-agent = { $key } from the agent
tried-more = { $n ->
    [one] the server asks for more than a password ({ $n } answer)
   *[other] the server asks for more than a password ({ $n } answers)
}
tried-enough = { $n ->
    [one] no more, because servers hang up after { $n } try
   *[other] no more, because servers hang up after { $n } tries
}
tried-agent = the agent at { $socket } cannot be asked: { $why }
tried-unsigned = the agent did not sign: { $why }
ssh-session = the server refused the session: { $why }
session-prohibited = its settings forbid it
session-too-many = it allows no more of them (MaxSessions)
session-unknown = it knows no sessions
session-shortage = it is short of resources
session-command = commands are not allowed
ssh-exit = the command failed with status { $code }
ssh-killed = the command was killed by signal { $signal }
ssh-unreadable = the answer cannot be understood: { $why }
reading-other = it is no reading but { $said }
reading-truncated = it ends too early
reading-missing = { $part } is missing or broken

refused-stopping = I am being stopped; try again in a minute.

nothing-to-do = { $over ->
    [0] Nothing to do in { $cluster }: no node is overloaded.
   *[other] Nothing can be done in { $cluster }: { $over } overloaded, but no migration helps.
}
press-refreshed = Plan { $plan } takes its place.
press-approved = Approved: the plan is on its way.
press-counted = Counted: { $have } of { $need }.
rejected = Plan { $plan } is rejected.
press-rejected = Rejected. With /reject, its number and a reason you can say why.
press-hand = Noted.
press-left-out = Left out: { $vm }.
press-taken-in = Taken in again: { $vm }.
press-kept = Steps of the plan that stay: { $kept } of { $of }.
press-taken = In progress; the message will show the result.
press-unrecorded = The bot's store cannot be written, so nothing was done. Press again when there is room on the disk.
press-unknown = This button no longer works.
press-changed = The plan was changed meanwhile. Look at the message again.
press-changed-just-now = The plan changed just now. Look at it again, then press.
file-refused = Telegram did not take the file. Ask again in a while.
broke = Something went wrong inside the bot; the log has it. Nothing else was done.

reported = { $who }: { $said }
setting-dry-run-on = Dry run is on: nothing is carried out.
setting-dry-run-off = Dry run is off: approved plans are carried out.
setting-mode = Mode: { $mode }
autopilot-none = No standing approval: plans wait for people. To let relief run for a while: /autopilot 8h max 5
autopilot-asked = Autopilot until { $until }: overload would be relieved without asking.
autopilot-on = ✓ Autopilot until { $until }: overload is relieved without asking.
autopilot-by = Asked by { $who }
autopilot-by-configuration = By AUTOPILOT of the configuration
autopilot-confirmed = Confirmed by { $who }
autopilot-waits = Waits for confirmation until { $until }: { $have } of { $need }
autopilot-migrations = Migrations: { $used } of { $max }
autopilot-migrations-max = Migrations: at most { $max }
autopilot-ram = { $used } of { $max } RAM
autopilot-ram-max = At most { $max } RAM
autopilot-only = Only { $resource }
autopilot-cluster = Only cluster { $cluster }
autopilot-other-mode = Works in the mode propose only.
    Mode now: { $mode }
autopilot-unconfirmed = The autopilot was not confirmed in time.
autopilot-over = The autopilot’s time is over.
autopilot-used-up = ⚠ The autopilot’s limits are used up: plans wait for people.
autopilot-failed = ⚠ The autopilot ended after a failure: plans wait for people.
autopilot-set-back = ⚠ The autopilot does not count: the clock was set back to before it began. Plans wait for people.
autopilot-did = { $n ->
    [one] { $n } VM moved
   *[other] { $n } VMs moved
}, { $memory }. More: /history
autopilot-did-nothing = It moved nothing.
autopilot-off = The autopilot is off: plans wait for people.
autopilot-gone = This autopilot is already confirmed, ended or too old. See /autopilot
button-chart = Chart
chart-cluster = Cluster { $cluster }: its fullest nodes
chart-status = The fullest nodes
chart-plan = Plan { $plan }, { $cluster }: before → now
chart-more = { $n ->
    [one] … and { $n } more node
   *[other] … and { $n } more nodes
}
chart-over = over
chart-threshold = threshold
chart-node = { $node }: the last { $n } days
chart-nothing-yet = Nothing is known of its last days yet: the first quarter of an hour must be over.
chart-highest = Highest within a year: { $value } ({ $day })
chart-range = { $resource }: { $last } now, { $low } to { $high } in the picture
chart-history = The last { $n } days
chart-migrations-sum = Migrations: { $done } done, { $failed } failed
chart-overload-sum = Overload: { $hours } node-hours
chart-migrations = Migrations a day
chart-overload = Node-hours of overload a day
button-confirm = Confirm
button-autopilot-end = End
status-autopilot = Autopilot until { $until }
status-autopilot-asked = Autopilot until { $until } waits for confirmation: /autopilot
status-autopilot-migrations = { $used } of { $max } migrations
setting-paused = Paused: automatic cycles stop until /resume.
setting-paused-until = Automatic cycles are paused
    until { $until }.
setting-paused-runs = What is running goes on; to stop it: /cancel
setting-resumed-off = The pause is over, but the mode is off: nothing runs by itself. /mode propose lets cycles post plans again.
setting-still-closed = { $node } stays closed:
setting-resumed = Automatic cycles go on.
setting-excluded = { $n ->
    [one] { $node } is { $direction }.
   *[other] { $n } nodes are { $direction }: { $node }.
}
setting-excluded-until = { $n ->
    [one] { $node } is { $direction } until { $until }.
   *[other] { $n } nodes are { $direction } until { $until }: { $node }.
}
setting-included = { $n ->
    [one] { $node } is open again.
   *[other] { $n } nodes are open again: { $node }.
}
setting-was-open = { $n ->
    [one] { $node } was open already.
   *[other] These were open already: { $node }.
}
setting-already = No change. { $said }
dry-run-is-on = Dry run is on: nothing is carried out.
dry-run-is-off = Dry run is off.

settings-title = Settings in force
settings-thresholds = Thresholds
settings-moves = How much is moved
settings-places = Nodes and VMs
settings-times = Times
settings-chat = Messages
settings-how = Change one with the buttons, or with /set NAME VALUE.
settings-who = Admins change settings.
settings-unknown = There is no setting { $name } that can change while I run. /settings shows them all.
setting-configured = Configured: { $value }
setting-type = Another value: /set { $name } VALUE
setting-type-text = Another value: /set { $name } VALUE, and the word “empty” for none
setting-empty = none
setting-set = { $name }: { $value } (was { $was })
setting-set-when = It counts from the next plan on.
setting-set-now = It counts from now on.
button-settings-all = All settings
button-settings-back = Back
button-setting-default = As configured
button-setting-show = Change it
unit-per-core = { $n } per core
source-default = the default
source-file = from the file
source-environment = from the environment
source-command-line = from the command line
source-chat = set by { $who }, { $at }
unsettable-unknown = There is no setting { $name }. /settings shows them all.
unsettable-similar = There is no setting { $name }. Did you mean { $similar }?
unsettable-secret = { $name } is a secret and does not belong into a chat. Set it in the file; if you wrote its value here, delete that message.
unsettable-at-start = { $name } is read at the start only. Change it in the file and restart me.
unsettable-by-command = { $command } changes { $name }.
unsettable-value = { $name } cannot be “{ $found }”. Expected: { $expected }.
unsettable-value-missing = { $name } needs a value. The word “default” takes the configured one.
unsettable-value-hidden = { $name } cannot have this value, which may hold a secret. Expected: { $expected }.
expected-something = a value
expected-boolean = true or false
expected-time-of-day = a time of the day, such as 09:00
expected-whole = a whole number, { $least } or more
expected-seconds = a whole number of seconds, { $least } or more
expected-seconds-at-most = seconds, at most { $most } (a year)
expected-days = a whole number of days, from { $least } to { $most }
expected-per-core = a number above 0, such as 7.0
expected-percent = a percentage above 0, such as 70
expected-reserve = a percentage from 0 to below 100
expected-margin = percent of memory and load per core, with a comma between, such as 0,0.10
expected-worth = a part of a node's cores from 0 to 1, such as 0.003
expected-one-of = one of { $all }
expected-windows = times such as 22:00-06:00 or Mon-Fri 01:00-05:00, several with a comma
setting-target-over = { $target } is above { $overload }: targets are filled up to { $overload } only
setting-nothing-moved = MAX_MIGRATIONS_PER_CYCLE is 0: no plan will ever hold a migration
settings-at-start = Read at the start only: TIMEZONE ({ $zone }), CLUSTER_IDS, and how VMmanager, the nodes and Telegram are reached. Open plans and the times in messages were made with them.
lang-name = English
lang-yours = Answers to you: { $language }
lang-of-chat = This chat: { $language }
lang-default = Without a choice: { $language }
lang-not-chosen = no choice
lang-how = /lang ru changes the answers to you.
    /lang ru chat changes what I write in this chat; admins may.
rests-none = No VM rests.
rests-title = { $n ->
    [one] { $n } VM rests, so no plan moves it:
   *[other] { $n } VMs rest, so no plan moves them:
}
rests-more = … and { $n } more
rests-how = Closed nodes: /exclusions
rests-left = VMs that still rest: { $n }, see /rests
rest-ended = { $n ->
    [one] { $vm } rests no longer: a plan may move it.
   *[other] { $n } VMs rest no longer, so a plan may move them: { $vm }.
}
rest-was-none = { $vm } does not rest.
rest-was-none-of = None of these VMs rests: { $vm }.
refused-in-flight = VM { $vm } has a migration that has not ended. It rests until then.
failures-title = { $n ->
    [0] ✓ Plan { $plan }, { $cluster }: the slow migration ended well
    [one] ⚠ Plan { $plan }, { $cluster }: { $n } migration needs a look
   *[other] ⚠ Plan { $plan }, { $cluster }: { $n } migrations need a look
}
copy-may-be-there = A copy of this message may stand above; a press on it or a reply to it brings it up to date.
looking = … Looking at the platform
one-moment = … One moment
answer-late = This answer waited its turn: as of { $at }
hand-taken = ✋ { $who } is on it since { $at }
hand-snoozed = { $who } wants to hear of it again at { $until }
alert-count = { $n } times so far
alert-earlier = The outage before began { $since } and lasted { $lasts }
alert-away = ⚠ VMmanager has been unavailable since { $since }: { $why }.
alert-back = ✓ VMmanager is back as of { $until }; it was away for { $lasts }.
alert-shrank = ⚠ Cluster { $cluster }: { $before } VMs became { $after } from one look to the next. Nothing is done until three looks agree.
alert-foreign = ⚠ Somebody else moves VM { $vm } in cluster { $cluster } (task { $task }). Nothing is ordered there until it ends.
alert-pulled = ⚠ Somebody moves { $vm } back: after { $n ->
    [one] a migration
   *[other] { $n } migrations
 } by this bot it was on { $node } again{ $by }. It stays alone until { $until }. See whether VMmanager's own balancer or an HA rule moves it; switch that off, or pin the VM with PIN_VMS.
alert-pulled-by = , last moved by { $who }
alert-foreign-anywhere = ⚠ Somebody else moves VM { $vm } (task { $task }); its cluster is unknown. Nothing is ordered anywhere until it ends.
alert-node-out = { $n ->
    [one] ⚠ Node { $node } ({ $id }, cluster { $cluster }) is left out until { $until }: { $n } migration failed. /resume opens it sooner.
   *[other] ⚠ Node { $node } ({ $id }, cluster { $cluster }) is left out until { $until }: { $n } migrations failed. /resume opens it sooner.
}
alert-cluster-stopped = { $n ->
    [one] ⚠ Automatic runs in cluster { $cluster } ({ $id }) stopped: { $n } migration failed. Look into it, then /resume.
   *[other] ⚠ Automatic runs in cluster { $cluster } ({ $id }) stopped: { $n } migrations failed. Look into it, then /resume.
}
alert-cluster-stop-ends = Without it they begin again { $until }.
alert-cluster-resumed = ✅ Automatic runs in cluster { $cluster } ({ $id }) begin again: the stop after failures is over, and the cluster can be seen.
alert-host-key-revoked = ⚠ SSH host key of { $node } ({ $id }) is revoked: { $found }. The node is not measured.
alert-host-key = ⚠ SSH host key of { $node } ({ $id }) is not the known one: expected { $expected }, found { $found }. The node is not measured.
alert-host-key-known = The known key is in { $file }, line { $line }. Compare the found one on the node itself; if it is right, take the old one out: { $command }
alert-host-key-learned = I learned the known key: { $file }, line { $line }. Compare the found one on the node itself; if it is right, delete that line, and with accept-new I learn the other.
alert-host-key-revoked-in = It is revoked in { $file }, line { $line }. Give the node another host key.
alert-restored = ⚠ My store was damaged and is restored from the export of { $at }; the damaged one is in { $dir }. Plans wait for approval until an admin says /resume.
alert-restored-empty = ⚠ My store was damaged and there is no export that can be read, so I start with an empty one; the damaged one is in { $dir }. Plans wait for approval until an admin says /resume.
alert-restored-whole = The export has everything.
alert-restored-lost = { $n ->
    [one] At least { $n } later record is missing: an ended migration, a failure, an approval or a change of a setting.
   *[other] At least { $n } later records are missing: ended migrations, failures, approvals and changes of settings.
    } A VM or a node that failed since then may be used again.
alert-restored-unknown = I do not know what is missing: ended migrations, failures and approvals since then may be.
alert-restored-switches-known = Dry run, mode, pause, exclusions and settings of the chat are known; where two records differ, the stricter one counts.
alert-restored-switches-exported = Dry run, mode, pause, exclusions and settings of the chat are those of the export; later changes are unknown. Look at /status and /settings.
alert-restored-switches-unknown = Dry run, mode, pause, exclusions and settings that were set in the chat are unknown; the configuration counts. Look at /status and /settings.
alert-time-back = ⚠ The clock of my machine went back by { $by }: from { $before } to { $after }. Rests after migrations and failures go by it; check the time service.
alert-time-ahead = ⚠ The clock of my machine went ahead by { $by }: from { $before } to { $after }. Rests after migrations and failures go by it; check the time service.
alert-store = ⚠ The store has been read-only since { $since }: { $why }. No migration is ordered until it can be written; make room on the disk.
alert-second-poller = ⚠ Another program has been reading this bot's updates since { $since }: commands may go to it instead. Stop one of the two.
reports-missing = While Telegram was away, reports were too many to keep: { $quiet } without and { $troubled } with failures. /history has them.
