//! One comparison of one argument (OCI runtime-spec, `linux.seccomp.syscalls[].args`).

use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition};

use super::arch::Arch;
use crate::error::{Error, Result};

/// The comparison, by its name in libseccomp without `SCMP_CMP_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Not equal to the value.
    Ne,
    /// Less than the value.
    Lt,
    /// Less than or equal to the value.
    Le,
    /// Equal to the value.
    Eq,
    /// Greater than or equal to the value.
    Ge,
    /// Greater than the value.
    Gt,
    /// Equal to the second value in the bits that the value selects.
    MaskedEq,
}

/// A comparison that an argument has to pass. All comparisons are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which argument: 0 to 5.
    pub index: u8,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with; the mask for [`Operator::MaskedEq`].
    pub value: u64,
    /// What the masked argument is compared with.
    pub value_two: u64,
}

const LOW_HALF: u64 = 0xFFFF_FFFF;

impl Condition {
    /// The condition as `arch` can state it. A 32-bit ABI compares the low halves alone, as
    /// libseccomp does: the kernel hands over zero-extended arguments there.
    pub(super) fn on(mut self, arch: Arch) -> Self {
        if arch.is_32_bit() {
            self.value &= LOW_HALF;
            self.value_two &= LOW_HALF;
        }
        if self.operator == Operator::MaskedEq {
            self.value_two &= self.value;
        }
        self
    }

    /// Whether every argument passes: a mask without bits.
    pub(super) fn is_tautology(self) -> bool {
        self.operator == Operator::MaskedEq && self.value == 0
    }

    /// The comparison for seccompiler. `self` has been through [`Self::on`] for the same `arch`.
    pub(super) fn to_seccompiler(self, arch: Arch) -> Result<SeccompCondition> {
        let operator = match self.operator {
            Operator::Ne => SeccompCmpOp::Ne,
            Operator::Lt => SeccompCmpOp::Lt,
            Operator::Le => SeccompCmpOp::Le,
            Operator::Eq => SeccompCmpOp::Eq,
            Operator::Ge => SeccompCmpOp::Ge,
            Operator::Gt => SeccompCmpOp::Gt,
            Operator::MaskedEq => SeccompCmpOp::MaskedEq(self.value),
        };
        let masked = self.operator == Operator::MaskedEq;
        // A mask within the low half leaves nothing to compare in the high one: three instructions less.
        let low_half_decides = arch.is_32_bit() || (masked && self.value <= LOW_HALF);
        let length = if low_half_decides { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
        let value = if masked { self.value_two } else { self.value };
        SeccompCondition::new(self.index, length, operator, value)
            .map_err(|error| Error::internal(format!("seccompiler: {error}")))
    }
}
