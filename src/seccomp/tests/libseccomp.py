"""Compile profiles with libseccomp, as runc uses it.

Reads one profile per line (JSON) and writes one filter per profile: its length in instructions as a
little-endian word, then the instructions; 0 where libseccomp refuses the profile.
"""

import json
import struct
import sys
import tempfile

import seccomp

ARCHES = {
    "SCMP_ARCH_X86_64": seccomp.Arch.X86_64,
    "SCMP_ARCH_X32": seccomp.Arch.X32,
    "SCMP_ARCH_X86": seccomp.Arch.X86,
    "SCMP_ARCH_AARCH64": seccomp.Arch.AARCH64,
    "SCMP_ARCH_ARM": seccomp.Arch.ARM,
}
OPERATORS = {
    "Ne": seccomp.NE,
    "Lt": seccomp.LT,
    "Le": seccomp.LE,
    "Eq": seccomp.EQ,
    "Ge": seccomp.GE,
    "Gt": seccomp.GT,
    "MaskedEq": seccomp.MASKED_EQ,
}


def signed(action):
    """The binding takes an int where the library takes 32 unsigned bits."""
    return action - (1 << 32) if action >= 1 << 31 else action


def known(name):
    """runc ignores names that its libseccomp does not know."""
    return seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) != -1


def compile(profile):
    default = profile["default"]
    program = seccomp.SyscallFilter(defaction=default)
    program.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for name in profile["architectures"]:
        if not program.exist_arch(ARCHES[name]):
            program.add_arch(ARCHES[name])
    for rule in profile["rules"]:
        if rule["action"] == default:
            continue
        args = [seccomp.Arg(index, OPERATORS[op], a, b) for index, op, a, b in rule["args"]]
        indices = [arg[0] for arg in rule["args"]]
        sets = [args] if len(set(indices)) == len(indices) else [[arg] for arg in args]
        for name in filter(known, rule["names"]):
            for conditions in sets:
                program.add_rule(signed(rule["action"]), name, *conditions)
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


for line in sys.stdin:
    try:
        code = compile(json.loads(line))
    except (OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        code = b""
    sys.stdout.buffer.write(struct.pack("<I", len(code) // 8) + code)
