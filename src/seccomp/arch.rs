//! The system call ABIs that a filter can tell apart.

/// An ABI by its OCI name (`SCMP_ARCH_*`) for which [`super::table`] has numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit x86 with 32-bit pointers: the same audit arch, bit 30 set in the number.
    X32,
    /// 32-bit x86 (`int $0x80`, which every 64-bit program can execute too).
    X86,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM, EABI.
    Arm,
}

/// ABIs of the OCI specification that no kernel pinfold runs on can execute.
const FOREIGN: &[&str] = &[
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// How an OCI architecture name reads on this machine.
pub(super) enum Named {
    /// One of ours.
    Known(Arch),
    /// The one pinfold was built for.
    Native,
    /// A real one that cannot occur here, so that a rule for it has no effect.
    Foreign,
}

impl Arch {
    /// The ABI pinfold was built for; `None` where no numbers are known.
    pub const NATIVE: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Aarch64)
    } else {
        None
    };

    /// The bit that marks x32 numbers (`__X32_SYSCALL_BIT`).
    pub const X32_BIT: u32 = 0x4000_0000;

    /// All of them.
    pub const ALL: [Self; 5] = [Self::X86_64, Self::X32, Self::X86, Self::Aarch64, Self::Arm];

    pub(super) fn parse(name: &str) -> Option<Named> {
        Some(match name {
            "SCMP_ARCH_X86_64" => Named::Known(Self::X86_64),
            "SCMP_ARCH_X32" => Named::Known(Self::X32),
            "SCMP_ARCH_X86" => Named::Known(Self::X86),
            "SCMP_ARCH_AARCH64" => Named::Known(Self::Aarch64),
            "SCMP_ARCH_ARM" => Named::Known(Self::Arm),
            "SCMP_ARCH_NATIVE" => Named::Native,
            foreign if FOREIGN.contains(&foreign) => Named::Foreign,
            _ => return None,
        })
    }

    /// The OCI name.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X32 => "SCMP_ARCH_X32",
            Self::X86 => "SCMP_ARCH_X86",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// `seccomp_data.arch` (`AUDIT_ARCH_*`, linux/audit.h).
    pub fn audit_value(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xC000_003E,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xC000_00B7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments are compared in 32 bits. libseccomp counts x32 among these.
    pub fn is_32_bit(self) -> bool {
        matches!(self, Self::X32 | Self::X86 | Self::Arm)
    }

    /// Whether a kernel whose native ABI is `native` can execute calls of this ABI.
    pub fn runs_on(self, native: Self) -> bool {
        matches!(self, Self::Aarch64 | Self::Arm) == matches!(native, Self::Aarch64 | Self::Arm)
    }
}
