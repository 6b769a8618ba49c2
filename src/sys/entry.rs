//! Where the program begins: `pinfold_entry`, which `build.rs` names to the linker in place of `_start`.
//!
//! `create`, `run` and `exec` go on in a read-only clone of the binary's mount (`commands::protect` says
//! why). Whoever gets there by way of `main` has paid for the start of libc twice, and glibc's asks the
//! processor about its caches by CPUID, which costs a virtual machine an exit each time: together
//! more than all that pinfold itself computes. So the same calls are made here before libc starts.
//!
//! It is a shortcut and decides nothing: whatever it cannot do, or does not look at, `protect` does or
//! refuses. Assembler, because nothing is there yet: no relocation has been applied, no stack guard,
//! no thread, and a compiler may put a call of memcpy anywhere.
//!
//! Offsets and numbers: x86-64 psABI 3.4.1 "Initial Stack and Register State", statfs(2), open_tree(2),
//! mount_setattr(2), execveat(2).

unsafe extern "C" {
    fn pinfold_entry();
}

/// Keeps the entry in the binary, whoever names it.
#[used]
static KEPT: unsafe extern "C" fn() = pinfold_entry;

#[cfg(not(target_arch = "x86_64"))]
core::arch::global_asm!(".globl pinfold_entry", "pinfold_entry:", "b _start");

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text.pinfold_entry, \"ax\", @progbits",
    ".globl pinfold_entry",
    ".type pinfold_entry, @function",
    "pinfold_entry:",
    // What `_start` expects: rsp at argc, and rdx.
    "mov r13, rsp",
    "mov r12, rdx",
    "mov rax, [r13]",
    "test rax, rax",
    "jz 90f",
    "lea r14, [r13 + 8]",           // argv
    "lea r15, [r14 + rax * 8 + 8]", // envp
    "lea rsi, [r14 + 8]",
    // Is one of the words up to `--` a verb that enters a container? A stranger's word costs an execve.
    // Four bytes can always be read: the kernel ends the strings with eight of zero.
    "40:",
    "mov rdi, [rsi]",
    "add rsi, 8",
    "test rdi, rdi",
    "jz 90f",
    "mov eax, [rdi]",
    "cmp eax, 0x006e7572", // run
    "je 30f",
    "cmp eax, 0x63657865", // exec
    "je 20f",
    "cmp eax, 0x61657263", // crea
    "je 21f",
    "and eax, 0x00ffffff",
    "cmp eax, 0x00002d2d", // --
    "je 90f",
    "jmp 40b",
    "20:",
    "cmp byte ptr [rdi + 4], 0",
    "je 30f",
    "jmp 40b",
    "21:",
    "cmp word ptr [rdi + 4], 0x6574", // te
    "jne 40b",
    "cmp byte ptr [rdi + 6], 0",
    "jne 40b",
    // geteuid: only root may clone mounts.
    "30:",
    "mov eax, 107",
    "syscall",
    "test eax, eax",
    "jnz 90f",
    // openat(AT_FDCWD, "/proc/self/exe", O_PATH | O_CLOEXEC)
    "mov eax, 257",
    "mov edi, -100",
    "lea rsi, [rip + 70f]",
    "mov edx, 0x280000",
    "xor r10d, r10d",
    "syscall",
    "test eax, eax",
    "js 90f",
    "mov ebx, eax",
    // fstatfs: on a read-only mount nothing is to be done.
    "sub rsp, 256",
    "mov eax, 138",
    "mov edi, ebx",
    "mov rsi, rsp",
    "syscall",
    "test eax, eax",
    "jnz 81f",
    "test byte ptr [rsp + 80], 1", // f_flags, ST_RDONLY
    "jnz 81f",
    // open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
    "mov eax, 428",
    "mov edi, ebx",
    "lea rsi, [rip + 71f]",
    "mov edx, 0x81001",
    "syscall",
    "test eax, eax",
    "js 81f",
    "mov ebp, eax",
    // mount_setattr(tree, "", AT_EMPTY_PATH, {set MOUNT_ATTR_RDONLY, propagation MS_PRIVATE}, 32)
    "mov qword ptr [rsp], 1",
    "mov qword ptr [rsp + 8], 0",
    "mov qword ptr [rsp + 16], 0x40000",
    "mov qword ptr [rsp + 24], 0",
    "mov eax, 442",
    "mov edi, ebp",
    "lea rsi, [rip + 71f]",
    "mov edx, 0x1000",
    "mov r10, rsp",
    "mov r8d, 32",
    "syscall",
    "test eax, eax",
    "jnz 80f",
    // execveat(tree, "", argv, envp, AT_EMPTY_PATH); both descriptors close with it.
    "mov eax, 322",
    "mov edi, ebp",
    "lea rsi, [rip + 71f]",
    "mov rdx, r14",
    "mov r10, r15",
    "mov r8d, 0x1000",
    "syscall",
    "80:",
    "mov eax, 3",
    "mov edi, ebp",
    "syscall",
    "81:",
    "mov eax, 3",
    "mov edi, ebx",
    "syscall",
    "90:",
    // madvise(MADV_POPULATE_WRITE): all that relocation will write, at once. A kernel without (before 5.14)
    // brings the pages one by one.
    "mov eax, 28",
    "lea rdi, [rip + __init_array_start]",
    "and rdi, -4096",
    "lea rsi, [rip + _edata]",
    "sub rsi, rdi",
    "mov edx, 23",
    "syscall",
    // The part of the stack that every verb uses, at once too; execve(2) maps 128 KiB of it.
    "mov eax, 28",
    "lea rdi, [r13 - 0xe000]",
    "and rdi, -4096",
    "mov esi, 0xe000",
    "mov edx, 23",
    "syscall",
    "mov rsp, r13",
    "mov rdx, r12",
    "xor ebp, ebp",
    "jmp _start",
    "70:",
    ".asciz \"/proc/self/exe\"",
    "71:",
    ".byte 0",
    ".size pinfold_entry, . - pinfold_entry",
    ".popsection",
);
