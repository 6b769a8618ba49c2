/* What the kernel alone costs: a container of runc's default configuration by bare system calls, everything constant.
 *
 *   floor ROOTFS PROGRAM        runs PROGRAM with ROOTFS as its root; exits as it does
 *   FLOOR_TIMING=1 floor ...    tells on stderr, too, how long each part took, in microseconds
 *
 * New mount, pid, network, ipc, uts and cgroup namespaces, a cgroup of its own with a program for devices, seven
 * mounts, six device nodes, masked and read-only paths, pivot_root, three capabilities, a limit, no_new_privs, execve.
 * Nothing is checked that need not be, nothing is parsed, nothing is reported, and nobody watches: it is what a launch
 * is measured against, not one to use. Linked statically, so that no loader is measured. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);

enum { PRIVATE = 1 << 18, RECURSIVE = 1 << 14, STRICTATIME = 1 << 24, NOSUID = 2, NODEV = 4, NOEXEC = 8, RDONLY = 1, BIND = 4096, DETACH = 2 };

static void must(long result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        _exit(125);
    }
}

enum who { PARENT, CHILD };
/* Parts that have ended, of each process: a page that they share, where it was asked for. */
static struct part {
    const char *what;
    int64_t at;
} (*parts)[32];

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void ended(enum who who, const char *what) {
    if (parts == NULL) return;
    struct part *part = parts[who];
    while (part->what != NULL) part++;
    *part = (struct part){what, now()};
}

static void tell(int64_t begun, enum who who) {
    int64_t from = begun;
    if (parts == NULL) return;
    for (struct part *part = parts[who]; part->what != NULL; part++) {
        fprintf(stderr, "timing: %-6s %9.1f %9.1f  %s\n", who == PARENT ? "parent" : "child", (double)(from - begun) / 1e3,
                (double)(part->at - from) / 1e3, part->what);
        from = part->at;
    }
}

static void device(const char *name, unsigned major, unsigned minor) {
    must(mknod(name, S_IFCHR | 0666, makedev(major, minor)), name);
    must(chmod(name, 0666), name);
}

static void mask(const char *path, int directory) {
    long done = directory ? mount("tmpfs", path, "tmpfs", RDONLY, "nr_inodes=1") : mount("/dev/null", path, NULL, BIND, NULL);
    if (done < 0 && errno != ENOENT) must(done, path);
}

static void read_only(const char *path) {
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 && errno == ENOENT) return;
    must(tree, path);
    must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr), path);
    must(syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), path);
    close(tree);
}

static void capabilities(void) {
    const uint32_t kept = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap > 31 || !(kept & 1u << cap)) must(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0), "PR_CAPBSET_DROP");
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{kept, kept, 0}, {0, 0, 0}};
    must(syscall(SYS_capset, &header, data), "capset");
}

static void child(const char *rootfs, char **argv) {
    ended(CHILD, "born");
    must(mount("", "/", NULL, PRIVATE | RECURSIVE, NULL), "private");
    int root = (int)syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    must(root, rootfs);
    must(syscall(SYS_move_mount, root, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    must(fchdir(root), "fchdir");
    ended(CHILD, "root attached");
    must(mount("proc", "proc", "proc", NOSUID | NODEV | NOEXEC, NULL), "proc");
    must(mount("tmpfs", "dev", "tmpfs", NOSUID | STRICTATIME, "mode=755,size=65536k"), "dev");
    must(mkdir("dev/pts", 0755) | mkdir("dev/shm", 0755) | mkdir("dev/mqueue", 0755), "mkdir");
    must(mount("devpts", "dev/pts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"), "devpts");
    must(mount("shm", "dev/shm", "tmpfs", NOSUID | NODEV | NOEXEC, "mode=1777,size=65536k"), "shm");
    must(mount("mqueue", "dev/mqueue", "mqueue", NOSUID | NODEV | NOEXEC, NULL), "mqueue");
    must(mount("sysfs", "sys", "sysfs", NOSUID | NODEV | NOEXEC | RDONLY, NULL), "sysfs");
    must(mount("cgroup", "sys/fs/cgroup", "cgroup2", NOSUID | NODEV | NOEXEC | RDONLY, NULL), "cgroup2");
    ended(CHILD, "7 mounts");
    device("dev/null", 1, 3);
    device("dev/zero", 1, 5);
    device("dev/full", 1, 7);
    device("dev/random", 1, 8);
    device("dev/urandom", 1, 9);
    device("dev/tty", 5, 0);
    must(symlink("/proc/self/fd", "dev/fd") | symlink("/proc/self/fd/0", "dev/stdin") | symlink("/proc/self/fd/1", "dev/stdout") |
             symlink("/proc/self/fd/2", "dev/stderr") | symlink("pts/ptmx", "dev/ptmx"), "symlink");
    ended(CHILD, "6 devices, 5 links");
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", DETACH), "umount2");
    must(chdir("/"), "chdir");
    ended(CHILD, "pivot_root, umount2");
    must(sethostname("floor", 5), "sethostname");
    mask("/proc/acpi", 1);
    mask("/proc/asound", 1);
    mask("/proc/scsi", 1);
    mask("/sys/firmware", 1);
    mask("/proc/kcore", 0);
    mask("/proc/keys", 0);
    mask("/proc/latency_stats", 0);
    mask("/proc/timer_list", 0);
    mask("/proc/timer_stats", 0);
    mask("/proc/sched_debug", 0);
    ended(CHILD, "10 masks");
    read_only("/proc/bus");
    read_only("/proc/fs");
    read_only("/proc/irq");
    read_only("/proc/sys");
    read_only("/proc/sysrq-trigger");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    must(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr), "read-only root");
    ended(CHILD, "5 read-only paths, read-only root");
    must(setsid(), "setsid");
    must(syscall(SYS_close_range, 3, ~0u, 0), "close_range");
    struct rlimit files = {1024, 1024};
    must(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    capabilities();
    ended(CHILD, "session, descriptors, limit, capabilities");
    execve(argv[0], argv, (char *[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL});
    must(-1, argv[0]);
}

/* The devices of major 1 and 5 and all of 136 may be used, no other; any may be made. */
static int devices(void) {
    struct bpf_insn program[] = {
        {BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0},   {BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0}, {BPF_ALU | BPF_RSH | BPF_K, 2, 0, 0, 16},
        {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 5, 1},   {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 4, 1}, {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 3, 5},
        {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 2, 136}, {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
        {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = sizeof program / sizeof program[0],
                           .insns = (uintptr_t)program, .license = (uintptr_t)"Apache-2.0"};
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    if (getenv("FLOOR_TIMING") != NULL) parts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int64_t begun = now();
    char group[64];
    snprintf(group, sizeof group, "/sys/fs/cgroup/floor-%d", getpid());
    must(mkdir(group, 0755), group);
    int cgroup = open(group, O_PATH | O_DIRECTORY | O_CLOEXEC), directory = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC), program = devices();
    must(program, "bpf");
    union bpf_attr attach = {.target_fd = directory, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE};
    must(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach), "bpf attach");
    ended(PARENT, "cgroup with a program for devices");
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    must(pid, "clone3");
    if (pid == 0) child(argv[1], argv + 2);
    ended(PARENT, "clone3");
    siginfo_t info;
    must(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), "waitid");
    ended(PARENT, "set-up, execve, program, end");
    must(rmdir(group), group);
    ended(PARENT, "cgroup removed");
    tell(begun, PARENT);
    tell(begun, CHILD);
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
