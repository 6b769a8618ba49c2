//! Which rule judges each part of a Draft. A part that is new does not compile here: it is
//! judged first, or refused while a policy stands. What is judged belongs into `policy/recorded` too, for who
//! judges the launch again.

#![expect(dead_code, reason = "the compiler reads it: a pattern must name every field")]

use crate::cgroup::Limits;
use crate::draft::{Draft, DraftMount, MountOptions, Process, Root};

fn of_a_draft(draft: &Draft) {
    let Draft {
        // Which of the built-in rules hold.
        door: _,
        new_namespaces: _,   // namespaces.new, network.modes
        join: _,             // join.*
        id_maps: _,          // user.host_uids, user.host_gids
        rootless: _,         // a fact of the caller
        setgroups_denied: _, // a fact of the caller
        root: _,             // root.*
        // Made in a fresh root, which is the program's own: no object of the host.
        skeleton: _,
        mounts: _,     // bind.*, mounts.*
        brings_dev: _, // mounts.destination
        devices: _,    // devices.allow
        files: _,      // as the skeleton
        // Of the container's own uts namespace, which the Draft demands for them.
        hostname: _,
        domainname: _,
        sysctls: _,        // sysctls.allow
        masked_paths: _,   // mounts.masked
        readonly_paths: _, // mounts.readonly
        personality: _,    // process.personality
        process: _,
        seccomp: _,  // seccomp.*
        landlock: _, // landlock.required
        limits: _,
        cgroup_path: _, // cgroups.path
        init: _,        // pinfold's own
        hooks: _,       // hook.*
        net_devices: _, // network.devices
        // May divide its own cgroup; the limits of it stay the host's (cgroups(7), "Delegation").
        cgroup_owner: _,
        joined_maps: _,   // user.host_uids, user.host_gids: the namespace's own, from the Facts
        time_offsets: _,  // of the container's own clocks
        memory_policy: _, // where its memory lies, among nodes that its cpuset allows
        rdt: _,           // limits.rdt
        warnings: _,      // texts
    } = draft;
}

fn of_a_root(root: &Root) {
    let Root {
        directory: _,   // root.directories
        image: _,       // root.images, signature.keys
        size: _,        // pinfold's own
        owner: _,       // of `sandbox` alone
        readonly: _,    // root.readonly
        propagation: _, // mounts.propagation
        attrs: _,       // of the door
    } = root;
}

fn of_a_mount(mount: &DraftMount, options: &MountOptions) {
    let DraftMount { field: _, destination: _, source: _, options: _, own: _ } = mount;
    let MountOptions {
        bind: _,
        remount: _,        // mounts.remount
        recursive: _,      // bind.cross_mounts
        attr: _,           // bind.access, bind.floor, devices.allow
        recursive_attr: _, // the same
        propagation: _,    // mounts.propagation
        data: _,           // mounts.data
        tmpcopyup: _,      // mounts.tmpcopyup
        idmap: _,          // bind.idmap, by the source's owner map
        ridmap: _,         // the same
    } = options;
}

fn of_a_process(process: &Process) {
    let Process {
        // What the program is and where it comes from is the container's own matter.
        args: _,
        env: _,           // process.environment
        cwd: _,           // process.cwd
        uid: _,           // user.uids, exec.users
        gid: _,           // user.gids
        groups: _,        // user.gids
        umask: _,         // of its own files
        caps: _,          // capabilities.*
        bounding: _,      // capabilities.bounding
        ambient: _,       // capabilities.ambient
        no_new_privs: _,  // process.no_new_privs
        rlimits: _,       // rlimits.*
        oom_score_adj: _, // process.oom_score_adj
        labels: _,        // process.labels, process.label_required
        scheduling: _,    // process.priority
        terminal: _,      // a pty of its own
        console_size: _,
    } = process;
}

fn of_limits(limits: &Limits) {
    let Limits {
        memory_max: _,        // limits.memory
        memory_swap_max: _,   // limits.swap
        pids_max: _,          // limits.pids
        cpu_quota_us: _,      // limits.cpu
        cpu_period_us: _,     // limits.cpu
        cpu_burst_us: _,      // at most the quota, and paid back
        io_max: _,            // limits.io
        unified: _,           // limits.unified
        cpu_rt_runtime_us: _, // limits.realtime
        cpu_rt_period_us: _,
        oom_kill_disable: _, // limits.oom_kill_disable
        devices: _,          // devices.allow
        // Only tighter than the kernel's own, or shares among siblings.
        memory_low: _,
        memory_high: _,
        memory_check: _,
        oom_group: _,
        swappiness: _,
        kernel_memory: _,
        kernel_tcp: _,
        cpu_weight: _,
        cpu_shares: _,
        cpu_idle: _,
        cpuset_cpus: _,
        cpuset_mems: _,
        io_weight: _,
        io_device_weight: _,
        hugetlb: _,
        rdma: _,
        // Marks on packets of the container.
        net_class_id: _,
        net_priorities: _,
        accounting: _,
        all_controllers: _,
    } = limits;
}
