/*
 * Says what a process sees of itself and around it, one line "KEY\tVALUE" per thing. Static, so that a
 * root file system needs nothing else; it changes nothing that outlives it but files in the bundle.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

static void escaped(const char *text)
{
    for (; *text; text++)
        if (*text == '\n' || *text == '\t' || *text == '\\')
            printf("\\%03o", *text);
        else
            putchar(*text);
}

static void say(const char *key, const char *format, ...)
{
    char text[65536];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    escaped(key);
    putchar('\t');
    escaped(text);
    putchar('\n');
}

/* The answer of a call that may be denied. */
static void answer(const char *key, long result)
{
    say(key, "%s", result < 0 ? strerrorname_np(errno) : "ok");
}

static char *key(const char *format, ...)
{
    static char text[8192];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return text;
}

/* Each line of a file as a value of its own. */
static void lines(const char *name, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[65536];
    int number = 0;
    if (!file) {
        say(name, "%s", strerrorname_np(errno));
        return;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        say(key("%s %d", name, number++), "%s", line);
    }
    fclose(file);
}

static void status(void)
{
    static const char *fields[] = {"Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd",
        "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "SigBlk", "SigIgn", "SigCgt", "Cpus_allowed",
        "Mems_allowed", "Speculation_Store_Bypass", "SpeculationIndirectBranch", "CoreDumping", "THP_enabled", "Kthread",
        "Threads", "TracerPid"};
    FILE *file = fopen("/proc/self/status", "re");
    char line[65536];
    if (!file) {
        say("status", "%s", strerrorname_np(errno));
        return;
    }
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        line[strcspn(line, "\n")] = 0;
        if (!value)
            continue;
        *value++ = 0;
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (!strcmp(line, fields[i]))
                say(key("status %s", line), "%s", value + strspn(value, "\t "));
    }
    fclose(file);
}

static void identity(int argc, char **argv)
{
    uid_t r, e, s;
    gid_t groups[1024];
    char text[65536] = "", directory[PATH_MAX];
    say("argc", "%d", argc);
    for (int i = 0; i < argc; i++)
        say(key("argv %d", i), "%s", argv[i]);
    for (int i = 0; environ[i]; i++)
        say(key("environ %d", i), "%s", environ[i]);
    getresuid(&r, &e, &s);
    say("uids", "%u %u %u", r, e, s);
    getresgid(&r, &e, &s);
    say("gids", "%u %u %u", r, e, s);
    int count = getgroups(1024, groups);
    for (int i = 0; i < count; i++)
        sprintf(text + strlen(text), "%u ", groups[i]);
    say("groups", "%s", text);
    say("cwd", "%s", syscall(SYS_getcwd, directory, sizeof directory) < 0 ? strerrorname_np(errno) : directory);
    mode_t mask = umask(0);
    umask(mask);
    say("umask", "%04o", mask);
    say("process", "first %d, leads its session %d, leads its group %d, without a parent %d", getpid() == 1,
        getsid(0) == getpid(), getpgrp() == getpid(), getppid() == 0);
    say("secure", "%lu", getauxval(AT_SECURE));
    say("execfn", "%s", (char *)getauxval(AT_EXECFN));
}

static void kernel_state(void)
{
    struct sched_param param = {0};
    cpu_set_t cpus;
    int mode = -1, value = 0;
    say("dumpable", "%d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    say("keepcaps", "%d", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
    say("securebits", "%#x", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0);
    say("pdeathsig", "%d", value);
    prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0);
    say("subreaper", "%d", value);
    say("timerslack", "%d", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
    say("thp", "%d", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit(i, &limit);
        say(key("rlimit %d", i), "%lld %lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
    }
    say("nice", "%d", getpriority(PRIO_PROCESS, 0));
    sched_getparam(0, &param);
    say("scheduler", "%d %d", sched_getscheduler(0), param.sched_priority);
    say("ioprio", "%ld", syscall(SYS_ioprio_get, 1, 0));
    say("personality", "%#x", personality(0xffffffff));
    say("cpus", "%d", sched_getaffinity(0, sizeof cpus, &cpus) ? -1 : CPU_COUNT(&cpus));
    say("mempolicy", "%ld %d", syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0), mode);
}

static void descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        struct stat stat;
        struct termios termios;
        struct winsize size = {0};
        char link[PATH_MAX] = "";
        if (fstat(fd, &stat))
            continue;
        ssize_t length = readlink(key("/proc/self/fd/%d", fd), link, sizeof link - 1);
        link[length < 0 ? 0 : length] = 0;
        say(key("fd %d", fd), "type %#o access %d cloexec %d", stat.st_mode & S_IFMT, fcntl(fd, F_GETFL) & O_ACCMODE,
            fcntl(fd, F_GETFD));
        if (S_ISCHR(stat.st_mode))
            say(key("fd %d link", fd), "%s %u:%u mode %#o owner %u:%u", link, major(stat.st_rdev), minor(stat.st_rdev),
                stat.st_mode & 07777, stat.st_uid, stat.st_gid);
        if (!tcgetattr(fd, &termios)) {
            ioctl(fd, TIOCGWINSZ, &size);
            say(key("fd %d terminal", fd), "%#x %#x %#x %#x session %d", termios.c_iflag, termios.c_oflag,
                termios.c_cflag, termios.c_lflag, tcgetsid(fd) == getsid(0));
            say(key("fd %d size", fd), "%ux%u", size.ws_row, size.ws_col);
        }
    }
}

static void namespaces(void)
{
    static const char *kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    for (int i = 0; i < 8; i++) {
        char link[64];
        ssize_t length = readlink(key("/proc/self/ns/%s", kinds[i]), link, sizeof link - 1);
        link[length < 0 ? 0 : length] = 0;
        say(key("namespace %s", kinds[i]), "%s", length < 0 ? strerrorname_np(errno) : link);
    }
    struct utsname names;
    uname(&names);
    say("hostname", "%s", names.nodename);
    say("domainname", "%s", names.domainname);
    say("machine", "%s", names.machine);
    lines("uid_map", "/proc/self/uid_map");
    lines("gid_map", "/proc/self/gid_map");
    lines("setgroups", "/proc/self/setgroups");
    lines("timens", "/proc/self/timens_offsets");
    lines("cgroup", "/proc/self/cgroup");
    lines("mountinfo", "/proc/self/mountinfo");
    lines("oom_score_adj", "/proc/self/oom_score_adj");
    lines("comm", "/proc/self/comm");
    struct if_nameindex *names_of = if_nameindex();
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    for (struct if_nameindex *one = names_of; one && one->if_index; one++) {
        struct ifreq request = {0};
        strncpy(request.ifr_name, one->if_name, IFNAMSIZ - 1);
        ioctl(control, SIOCGIFFLAGS, &request);
        say(key("interface %s", one->if_name), "%#x", request.ifr_flags & (IFF_UP | IFF_LOOPBACK));
    }
    close(control);
}

static void listing(const char *directory)
{
    DIR *dir = opendir(directory);
    if (!dir) {
        say(key("list %s", directory), "%s", strerrorname_np(errno));
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[PATH_MAX], link[PATH_MAX] = "";
        struct stat stat;
        snprintf(path, sizeof path, "%s/%s", strcmp(directory, "/") ? directory : "", entry->d_name);
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || lstat(path, &stat))
            continue;
        ssize_t length = S_ISLNK(stat.st_mode) ? readlink(path, link, sizeof link - 1) : 0;
        link[length < 0 ? 0 : length] = 0;
        say(key("list %s", path), "%#o %u:%u %u:%u %s", stat.st_mode, stat.st_uid, stat.st_gid, major(stat.st_rdev),
            minor(stat.st_rdev), link);
    }
    closedir(dir);
}

static void reading(const char *path)
{
    char byte;
    struct stat stat;
    if (lstat(path, &stat)) {
        say(key("read %s", path), "%s", strerrorname_np(errno));
        return;
    }
    if (S_ISDIR(stat.st_mode)) {
        DIR *dir = opendir(path);
        int count = 0;
        while (dir && readdir(dir))
            count++;
        say(key("read %s", path), dir ? count > 2 ? "directory" : "empty directory" : "%s", strerrorname_np(errno));
        if (dir)
            closedir(dir);
        return;
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, &byte, 1);
    say(key("read %s", path), "%s", got < 0 ? strerrorname_np(errno) : got ? "content" : "empty");
    close(fd);
}

/* Opens for writing, and writes nothing. */
static void writing(const char *path)
{
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    answer(key("write %s", path), fd);
    if (fd >= 0)
        close(fd);
}

static void creating(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/probe-new", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    answer(key("create in %s", directory), fd);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
}

static void device(const char *directory, mode_t type, int number_major, int number_minor)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/probe-node", directory);
    long made = mknod(path, type | 0600, makedev(number_major, number_minor));
    answer(key("mknod %s %d:%d", directory, number_major, number_minor), made);
    if (made < 0)
        return;
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    answer(key("open made %s %d:%d", directory, number_major, number_minor), fd);
    close(fd);
    unlink(path);
}

/* In a process of its own: what works changes nothing for the rest. Once each, never in a loop. */
static void in_child(const char *name, long (*call)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(call() < 0 ? errno : 0);
    int ended = 0;
    waitpid(child, &ended, 0);
    if (child < 0)
        answer(key("call %s", name), -1);
    else if (WIFSIGNALED(ended))
        say(key("call %s", name), "signal %d", WTERMSIG(ended));
    else
        say(key("call %s", name), "%s", WEXITSTATUS(ended) ? strerrorname_np(WEXITSTATUS(ended)) : "ok");
}

static long call_unshare_user(void) { return unshare(CLONE_NEWUSER); }
static long call_unshare_mount(void) { return unshare(CLONE_NEWNS); }
static long call_unshare_net(void) { return unshare(CLONE_NEWNET); }
static long call_mount(void) { return mount("none", "/tmp", "tmpfs", 0, NULL); }
static long call_remount(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long call_umount_proc(void) { return umount2("/proc/kcore", MNT_DETACH); }
static long call_chroot(void) { return chroot("/"); }
static long call_sethostname(void) { return sethostname("probe", 5); }
static long call_setuid(void) { return setuid(0); }
static long call_setuid_other(void) { return setuid(12345); }
static long call_setgroups(void) { return syscall(SYS_setgroups, 0, NULL); }
static long call_kill_all(void) { return kill(-1, 0); }
static long call_packet(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static long call_raw(void) { return socket(AF_INET, SOCK_RAW, 1); }
static long call_mkdir(void) { return mkdir("/tmp/probe-dir", 0700) ? -1 : rmdir("/tmp/probe-dir"); }
static long call_nice(void) { return setpriority(PRIO_PROCESS, 0, -5); }
static long call_keyring(void) { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0); }
static long call_bpf(void) { return syscall(SYS_bpf, 9999, NULL, 0); }
static long call_getcwd(void) { char path[PATH_MAX]; return syscall(SYS_getcwd, path, sizeof path); }
static long call_shm(void) { int fd = open("/dev/shm/probe", O_RDWR | O_CREAT, 0600); return fd < 0 ? -1 : unlink("/dev/shm/probe"); }

static void calls(void)
{
    in_child("unshare user", call_unshare_user);
    in_child("unshare mount", call_unshare_mount);
    in_child("unshare net", call_unshare_net);
    in_child("mount", call_mount);
    in_child("remount", call_remount);
    in_child("umount mask", call_umount_proc);
    in_child("chroot", call_chroot);
    in_child("setuid 0", call_setuid);
    in_child("setuid 12345", call_setuid_other);
    in_child("setgroups", call_setgroups);
    in_child("kill all", call_kill_all);
    in_child("packet socket", call_packet);
    in_child("raw socket", call_raw);
    in_child("mkdir", call_mkdir);
    in_child("nice", call_nice);
    in_child("keyring", call_keyring);
    in_child("bpf", call_bpf);
    in_child("getcwd", call_getcwd);
    in_child("shm", call_shm);
    in_child("sethostname", call_sethostname);
}

static void session_keyring(void)
{
    char text[256] = "";
    long length = syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof text - 1);
    say("keyring", "%s", length < 0 ? strerrorname_np(errno) : text);
}

int main(int argc, char **argv)
{
    static const char *readable[] = {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/proc/1/environ",
        "/sys/fs/cgroup", "/etc/shadow", "/masked", "/masked-dir", "/link", "/bind", "/bind/file", "/bind/sub/file",
        "/proc/sys/kernel/shmmax", "/dev/fuse", "/dev/extra"};
    static const char *writable[] = {"/proc/sys/kernel/domainname", "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger", "/proc/irq", "/proc/self/oom_score_adj", "/sys/kernel/uevent_helper",
        "/sys/class/net/lo/mtu", "/sys/fs/cgroup/cgroup.procs", "/dev/null", "/dev/full", "/dev/tty", "/dev/kmsg",
        "/dev/console", "/bind/file", "/bind/sub/file", "/readonly/file", "/dev/extra"};
    static const char *directories[] = {"", "/tmp", "/dev", "/dev/shm", "/bind", "/bind/sub", "/readonly", "/sys", "/proc",
        "/sys/fs/cgroup", "/target"};
    static const char *values[] = {"/proc/sys/kernel/shmmax", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/hostname",
        "/proc/sys/net/ipv4/ping_group_range", "/proc/sys/fs/mqueue/msg_max", "/proc/sys/net/core/somaxconn"};
    identity(argc, argv);
    status();
    kernel_state();
    descriptors();
    namespaces();
    listing("/");
    listing("/dev");
    listing("/target");
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        reading(readable[i]);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        lines(key("value %s", values[i]), values[i]);
    for (size_t i = 0; i < sizeof writable / sizeof *writable; i++)
        writing(writable[i]);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        creating(directories[i]);
    device("/dev", S_IFCHR, 1, 3);
    device("/dev", S_IFCHR, 10, 229);
    device("/tmp", S_IFBLK, 7, 0);
    session_keyring();
    calls();
    puts("end\tend");
    return argc > 1 && !strncmp(argv[argc - 1], "exit=", 5) ? atoi(argv[argc - 1] + 5) : 0;
}
