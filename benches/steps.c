// Prints where a program's own code was executed, in the order of the first time: offsets from where it was
// loaded, in hexadecimal, one per line. For benches/order.py.
//
//   steps PROGRAM ARGUMENT...       (stdout: the offsets; the program's own goes to stderr)
//
// Each instruction of the program and of all that it clones is stepped over (ptrace(2), PTRACE_SINGLESTEP), as long as
// they are that program: an execve of another one ends it. A launch takes a minute.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS 4096
#define TEXT (64u << 20)

static struct task {
    pid_t pid;
    // Where the program begins and ends in this task's memory; 0, 0: it is another program.
    uint64_t begin, end;
} tasks[TASKS];
static uint8_t seen[TEXT];
static struct stat program;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct task *task_of(pid_t pid) {
    struct task *free_one = NULL;
    for (struct task *task = tasks; task < tasks + TASKS; task++) {
        if (task->pid == pid) return task;
        if (task->pid == 0 && free_one == NULL) free_one = task;
    }
    if (free_one == NULL) exit((fputs("steps: too many tasks\n", stderr), 1));
    *free_one = (struct task){.pid = pid};
    return free_one;
}

// The mappings of the file that the task executes, if that is the program (proc_pid_maps(5)).
static void look(struct task *task) {
    char path[64], line[4096];
    unsigned long begin, end, inode;
    task->begin = task->end = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", task->pid);
    FILE *maps = fopen(path, "r");
    if (maps == NULL) return;
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &begin, &end, &inode) != 3 || inode != program.st_ino) continue;
        if (task->begin == 0) task->begin = begin;
        task->end = end;
    }
    fclose(maps);
}

static void count(const struct task *task) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, task->pid, NULL, &registers) != 0) return;
    if (registers.rip < task->begin || registers.rip >= task->end) return;
    uint64_t offset = registers.rip - task->begin;
    if (offset >= TEXT || seen[offset]) return;
    seen[offset] = 1;
    printf("%lx\n", (unsigned long)offset);
}

int main(int argc, char **argv) {
    if (argc < 2) return fputs("usage: steps PROGRAM ARGUMENT...\n", stderr), 2;
    if (stat(argv[1], &program) != 0) fail(argv[1]);
    pid_t first = fork();
    if (first == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || dup2(2, 1) != 1) fail("ptrace");
        raise(SIGSTOP);
        execv(argv[1], argv + 1);
        fail("execv");
    }
    int status;
    if (waitpid(first, &status, 0) != first) fail("waitpid");
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SETOPTIONS, first, NULL, options) != 0) fail("PTRACE_SETOPTIONS");
    ptrace(PTRACE_CONT, first, NULL, 0);
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        struct task *task = task_of(pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            // What it leaves, such as a container that waits for `start`, goes on when the tracer is gone.
            if (pid == first) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            task->pid = 0;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_EXEC || (task->begin == 0 && signal == SIGSTOP)) look(task);
        if (signal == SIGTRAP && event == 0) count(task);
        int passed = signal == SIGTRAP || signal == SIGSTOP || event != 0 ? 0 : signal;
        ptrace(task->begin == 0 ? PTRACE_CONT : PTRACE_SINGLESTEP, pid, NULL, passed);
    }
    fail("waitpid");
}
