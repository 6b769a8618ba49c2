//! memcpy and memmove for a pinfold that is linked with musl.
//!
//! musl's begin a string instruction for every few words, which costs more than to copy them: half of what pinfold
//! computes in a launch was that. Here a short copy is loaded whole before anything is stored, so that its
//! places may overlap; a longer one goes on in steps of 64 bytes from the side on which nothing is lost.
//!
//! Assembler, because a compiler makes a loop that copies a call of memcpy. Registers: x86-64 psABI 3.2.3 "Parameter
//! Passing"; all that is used is the called function's to change.

#[cfg(target_env = "musl")]
core::arch::global_asm!(
    ".globl memcpy",
    ".globl memmove",
    ".set memcpy, pinfold_copy",
    ".set memmove, pinfold_copy",
);

core::arch::global_asm!(
    ".pushsection .text.pinfold_copy, \"ax\", @progbits",
    ".globl pinfold_copy",
    ".type pinfold_copy, @function",
    ".balign 16",
    "pinfold_copy:", // rdi: to, rsi: from, rdx: bytes
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 40f",
    "cmp rdx, 32",
    "ja 10f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "ret",
    "10:",
    "cmp rdx, 64",
    "ja 20f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + rdx - 32]",
    "movups xmm3, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + rdx - 32], xmm2",
    "movups [rdi + rdx - 16], xmm3",
    "ret",
    // Does `to` begin within what is copied? Then the end goes first.
    "20:",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jb 30f",
    "cmp rdx, 2048",
    "jae 25f",
    // The last 64 bytes are loaded first, and stored last.
    "movups xmm4, [rsi + rdx - 64]",
    "movups xmm5, [rsi + rdx - 48]",
    "movups xmm6, [rsi + rdx - 32]",
    "movups xmm7, [rsi + rdx - 16]",
    "lea r8, [rdi + rdx - 64]",
    "21:",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + 32]",
    "movups xmm3, [rsi + 48]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + 32], xmm2",
    "movups [rdi + 48], xmm3",
    "add rsi, 64",
    "add rdi, 64",
    "cmp rdi, r8",
    "jb 21b",
    "movups [r8], xmm4",
    "movups [r8 + 16], xmm5",
    "movups [r8 + 32], xmm6",
    "movups [r8 + 48], xmm7",
    "ret",
    "25:",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    // The first 64 bytes are loaded first, and stored last.
    "30:",
    "movups xmm4, [rsi]",
    "movups xmm5, [rsi + 16]",
    "movups xmm6, [rsi + 32]",
    "movups xmm7, [rsi + 48]",
    "lea r8, [rdi + 64]",
    "add rsi, rdx",
    "lea rcx, [rdi + rdx]",
    "31:",
    "movups xmm0, [rsi - 16]",
    "movups xmm1, [rsi - 32]",
    "movups xmm2, [rsi - 48]",
    "movups xmm3, [rsi - 64]",
    "movups [rcx - 16], xmm0",
    "movups [rcx - 32], xmm1",
    "movups [rcx - 48], xmm2",
    "movups [rcx - 64], xmm3",
    "sub rsi, 64",
    "sub rcx, 64",
    "cmp rcx, r8",
    "ja 31b",
    "movups [rdi], xmm4",
    "movups [rdi + 16], xmm5",
    "movups [rdi + 32], xmm6",
    "movups [rdi + 48], xmm7",
    "ret",
    // Below 16: two words that may overlap each other.
    "40:",
    "cmp edx, 8",
    "jb 41f",
    "mov rcx, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rcx",
    "mov [rdi + rdx - 8], r8",
    "ret",
    "41:",
    "cmp edx, 4",
    "jb 42f",
    "mov ecx, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], ecx",
    "mov [rdi + rdx - 4], r8d",
    "ret",
    "42:",
    "test edx, edx",
    "jz 43f",
    // First, middle and last byte: up to three.
    "movzx ecx, byte ptr [rsi]",
    "movzx r8d, byte ptr [rsi + rdx - 1]",
    "mov r9, rdx",
    "shr r9, 1",
    "movzx r10d, byte ptr [rsi + r9]",
    "mov [rdi], cl",
    "mov [rdi + r9], r10b",
    "mov [rdi + rdx - 1], r8b",
    "43:",
    "ret",
    ".size pinfold_copy, . - pinfold_copy",
    ".popsection",
);

#[cfg(test)]
mod tests {
    unsafe extern "C" {
        fn pinfold_copy(to: *mut u8, from: *const u8, length: usize) -> *mut u8;
    }

    /// Every length around the steps, every distance around them, in both directions.
    #[test]
    fn it_copies_as_memmove_does() {
        let pattern: Vec<u8> = (0..9000_usize).map(|place| u8::try_from(place * 7 % 251).unwrap()).collect();
        let distances = (-200..=200_isize).chain([-4000, -2048, -2047, 2047, 2048, 4000]);
        let lengths = || (0..=330).chain([511, 512, 513, 1023, 1024, 2047, 2048, 2049, 4000]);
        for distance in distances {
            for length in lengths() {
                let from = 4200_usize;
                let to = from.checked_add_signed(distance).unwrap();
                if to + length > pattern.len() {
                    continue;
                }
                let (mut moved, mut expected) = (pattern.clone(), pattern.clone());
                expected.copy_within(from..from + length, to);
                let start = moved.as_mut_ptr();
                // SAFETY: both places lie within the vector: 4200 - 4000 >= 0, and the ends were looked at.
                let told = unsafe { pinfold_copy(start.add(to), start.add(from), length) };
                assert_eq!(told, moved[to..].as_mut_ptr());
                assert!(moved == expected, "{length} bytes over {distance}");
            }
        }
    }
}
