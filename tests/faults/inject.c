/* Lets one system call of a program and its descendants fail.
 *
 *   inject list LOG -- PROGRAM ARGS        writes one line per call: PROCESS CALL NUMBER
 *   inject PROCESS:CALL:ERRNO LOG -- ...   the CALL-th system call of the PROCESS-th process is not made (but for
 *                                          close) and answers ERRNO; the line of that call is written
 *   inject every:NUMBER:ERRNO LOG -- ...   system call NUMBER is not made by anybody, as on a kernel without it
 *
 * Processes are numbered in the order in which they are born, calls in each from 0, up to where
 * it executes another program; what that one and its children call is left alone. Exits as the program does;
 * 128+N after signal N.
 *
 * ptrace(2): PTRACE_O_EXITKILL ends all tracees with this program, so a time limit around it ends everything. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "only x86_64 has the register access below"
#endif

enum { PROCESSES = 64 };

static struct process {
    pid_t pid;
    long calls;  /* begun so far */
    int inside;  /* of a call */
    int failing; /* this one is to answer the errno */
    int program; /* not pinfold any more: it, or who bore it, has executed something else */
    int held;    /* stopped until the one that bore it has told */
} processes[PROCESSES];
static int known;

static long wanted_process = -1, wanted_call = -1, wanted_number = -1, wanted_errno;
static int listing, done;
static FILE *log_file;

static void die(const char *what) {
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(125);
}

static struct process *of(pid_t pid) {
    for (int i = 0; i < known; i++)
        if (processes[i].pid == pid) return &processes[i];
    if (known == PROCESSES) die("too many processes");
    processes[known] = (struct process){.pid = pid};
    return &processes[known++];
}

/* At the entry: decide. A call with the number -1 is none; the kernel answers ENOSYS, which the exit replaces. */
static void entry(struct process *process, long index) {
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, process->pid, 0, &regs) != 0) return;
    long number = (long)regs.orig_rax;
    if (process->program) return;
    int chosen = wanted_number >= 0 ? number == wanted_number
                                    : !done && index == wanted_process && process->calls == wanted_call;
    if (listing || (chosen && !done)) fprintf(log_file, "%ld %ld %ld\n", index, process->calls, number);
    process->calls++;
    if (!chosen) return;
    fflush(log_file);
    done = 1;
    process->failing = 1;
    /* close(2), "Dealing with error returns": whatever it answers, the descriptor is closed. */
    if (number == SYS_close) return;
    regs.orig_rax = (unsigned long long)-1;
    if (ptrace(PTRACE_SETREGS, process->pid, 0, &regs) != 0) die("PTRACE_SETREGS");
}

static void leave(struct process *process) {
    if (!process->failing) return;
    struct user_regs_struct regs;
    process->failing = 0;
    if (ptrace(PTRACE_GETREGS, process->pid, 0, &regs) != 0) return;
    regs.rax = (unsigned long long)-wanted_errno;
    if (ptrace(PTRACE_SETREGS, process->pid, 0, &regs) != 0) die("PTRACE_SETREGS");
}

/* What to go on with: after the one failure no call is looked at any more. */
static void resume(pid_t pid, int sig) {
    struct process *process = of(pid);
    int look = listing || !done || wanted_number >= 0 || process->failing;
    ptrace(look ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, (long)sig);
}

static void stopped(pid_t pid, int status) {
    int sig = WSTOPSIG(status), event = status >> 16, known_before = known;
    struct process *process = of(pid);
    if (sig == (SIGTRAP | 0x80)) {
        process->inside = !process->inside;
        if (process->inside) entry(process, process - processes);
        else leave(process);
        sig = 0;
    } else if (event == PTRACE_EVENT_EXEC) {
        /* The first process executes pinfold once more. */
        if (process != processes) process->program = 1;
        sig = 0;
    } else if (event == PTRACE_EVENT_STOP) {
        /* A new tracee's first stop, or a group stop: SIGSTOP and its kin keep it stopped. */
        if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
            ptrace(PTRACE_LISTEN, pid, 0, 0);
            return;
        }
        if (known_before < known) {
            process->held = 1;
            return;
        }
        sig = 0;
    } else if (event != 0) {
        unsigned long born;
        if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &born) == 0) {
            struct process *child = of((pid_t)born);
            child->program = process->program;
            if (child->held) resume(child->pid, 0);
            child->held = 0;
        }
        sig = 0;
    }
    resume(pid, sig);
}

int main(int argc, char **argv) {
    const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                         PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    if (argc < 5 || strcmp(argv[3], "--") != 0) {
        fprintf(stderr, "usage: inject list|PROCESS:CALL:ERRNO|every:NUMBER:ERRNO LOG -- PROGRAM ARGS\n");
        return 125;
    }
    listing = strcmp(argv[1], "list") == 0;
    if (!listing && sscanf(argv[1], "every:%ld:%ld", &wanted_number, &wanted_errno) != 2 &&
        sscanf(argv[1], "%ld:%ld:%ld", &wanted_process, &wanted_call, &wanted_errno) != 3)
        die("what to do");
    if ((log_file = fopen(argv[2], "we")) == NULL) die(argv[2]);

    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        raise(SIGSTOP);
        execv(argv[4], argv + 4);
        die(argv[4]);
    }
    if (waitpid(child, NULL, WUNTRACED) != child) die("waitpid");
    if (ptrace(PTRACE_SEIZE, child, 0, options) != 0) die("PTRACE_SEIZE");
    of(child);
    /* Counting begins with the program itself, not with what leads to it. */
    kill(child, SIGCONT);
    int begun = 0, result = 125;
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) break;
        if (WIFSTOPPED(status)) {
            if (!begun) {
                begun = (status >> 16) == PTRACE_EVENT_EXEC;
                int sig = WSTOPSIG(status);
                int pass = (status >> 16) == 0 && sig != SIGTRAP && sig != SIGCONT ? sig : 0;
                ptrace(begun ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, (long)pass);
                /* The end of execve itself is the first stop. */
                if (begun) processes[0].inside = 1;
                continue;
            }
            stopped(pid, status);
        } else if (pid == child) {
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            /* What a detached container leaves goes on untraced. */
            break;
        }
    }
    fclose(log_file);
    /* Detached: EXITKILL must not end a container that `create` made on purpose. */
    for (int i = 0; i < known; i++)
        if (processes[i].pid != child && kill(processes[i].pid, 0) == 0) {
            int status;
            if (ptrace(PTRACE_INTERRUPT, processes[i].pid, 0, 0) != 0) continue;
            if (waitpid(processes[i].pid, &status, __WALL) > 0 && WIFSTOPPED(status))
                ptrace(PTRACE_DETACH, processes[i].pid, 0, 0);
        }
    return result;
}
