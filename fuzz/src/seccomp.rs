//! Profile text → BPF, executed by an interpreter that shares nothing with pinfold's own, and compared
//! with what the profile means ([`Profile::verdict`]). The interpreter refuses what the kernel's checker
//! would refuse (seccomp_check_filter, bpf_check_classic).

use pinfold::seccomp::table::Call;
use pinfold::seccomp::{Action, Arch, Condition, Host, Operator, Profile, Program};

/// `BPF_MAXINSNS`
const LONGEST: usize = 4096;
/// Calls that are compared for one profile.
const POINTS: usize = 160;
const EDGES: [u32; 7] = [0, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];

pub fn seccomp(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let host = Host { capabilities: &["CAP_SYS_ADMIN", "CAP_BPF"], kernel: (6, 12) };
    let read = [Profile::from_json(text), Profile::from_docker_json(text, &host)];
    let seed = text.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |all, byte| all.rotate_left(5) ^ u64::from(byte));
    for profile in read.into_iter().flatten() {
        for native in [Arch::X86_64, Arch::Aarch64] {
            if let Ok(program) = profile.compile_for(native) {
                compare(&profile, native, &program, seed);
            }
        }
    }
}

fn compare(profile: &Profile, native: Arch, program: &Program, seed: u64) {
    assert!((1..=LONGEST).contains(&program.instructions().len()));
    let mut dice = seed | 1;
    let mut roll = move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    for _ in 0..POINTS {
        let (arch, number, args) = point(profile, &mut roll);
        let meant = profile.verdict(native, arch, number, &args);
        let value = execute(program, arch, number, &args).expect("what the kernel would refuse to load");
        assert_eq!(Action::from_return_value(value), meant, "{native:?} {arch:#x} {number:#x} {args:x?}");
    }
}

/// A call that a rule is about, or one beside it.
fn point(profile: &Profile, roll: &mut impl FnMut() -> u64) -> (u32, u32, [u64; 6]) {
    let mut one_of = |length: usize| usize::try_from(roll() >> 33).unwrap() % length.max(1);
    let abis = Arch::ALL;
    let abi = abis[one_of(abis.len())];
    let mut args = [0, 1, 5, u64::from(u32::MAX), 1 << 32, u64::MAX];
    let turn = one_of(6);
    args.rotate_left(turn);
    let rule = profile.rules.get(one_of(profile.rules.len()));
    let call = rule.and_then(|rule| rule.calls.get(one_of(rule.calls.len())).copied());
    let call = call.filter(|_| one_of(8) != 0).unwrap_or(&Call::all()[one_of(Call::all().len())]);
    let step = u32::try_from(one_of(3)).unwrap();
    let number = call.number(abi).map_or(EDGES[one_of(EDGES.len())], |number| number.wrapping_add(step % 2));
    for condition in rule.iter().flat_map(|rule| &rule.conditions) {
        let near = [0, 1, u64::MAX, 1 << 32][one_of(4)];
        args[usize::from(condition.index)] = hit(condition).wrapping_add(near);
    }
    let arch = if one_of(16) == 0 { 0xc000_00f3 } else { abi.audit_value() };
    (arch, number, args)
}

/// A value about which the condition is.
fn hit(condition: &Condition) -> u64 {
    match condition.operator {
        Operator::MaskedEq => condition.value & condition.value_two,
        _ => condition.value,
    }
}

/// The value that the kernel's machine returns; `None` where its checker refuses the program.
fn execute(program: &Program, arch: u32, number: u32, args: &[u64; 6]) -> Option<u32> {
    let mut data = [0_u32; 16];
    (data[0], data[1]) = (number, arch);
    for (index, argument) in args.iter().enumerate() {
        data[4 + 2 * index] = u32::try_from(argument & 0xffff_ffff).unwrap();
        data[5 + 2 * index] = u32::try_from(argument >> 32).unwrap();
    }
    let code = program.instructions();
    if !matches!(code.last()?.code, 0x06 | 0x16) {
        return None;
    }
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    // All jumps lead forward, so it ends.
    loop {
        let instruction = code.get(at)?;
        let k = instruction.k;
        let jump = |holds: bool| usize::from(if holds { instruction.jt } else { instruction.jf });
        at += 1;
        match instruction.code {
            0x20 if k % 4 == 0 => accumulator = *data.get(usize::try_from(k).ok()? / 4)?,
            0x54 => accumulator &= k,
            0x05 => at = at.checked_add(usize::try_from(k).ok()?)?,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x45 => at += jump(accumulator & k != 0),
            0x06 => return Some(k),
            0x16 => return Some(accumulator),
            _ => return None,
        }
    }
}
