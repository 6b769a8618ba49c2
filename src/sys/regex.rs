//! Extended regular expressions of POSIX: regcomp(3), regexec(3), regfree(3).

use std::ffi::CStr;

use nix::errno::Errno;

use super::Result;

/// A compiled expression.
pub struct Regex(Box<libc::regex_t>);

impl Regex {
    /// regcomp(3) with REG_EXTENDED.
    ///
    /// # Errors
    /// ENOMEM; EINVAL: not an expression.
    pub fn new(pattern: &CStr) -> Result<Self> {
        let mut compiled = Box::<libc::regex_t>::new_uninit();
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: libc reads the pattern and writes the structure that we own; it keeps neither.
        match unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), flags) } {
            // SAFETY: regcomp has filled it in. It is boxed because libc may point into it.
            0 => Ok(Self(unsafe { compiled.assume_init() })),
            libc::REG_ESPACE => Err(Errno::ENOMEM),
            _ => Err(Errno::EINVAL),
        }
    }

    /// regexec(3): whether it is found anywhere in `text`.
    pub fn is_in(&self, text: &CStr) -> bool {
        // SAFETY: libc reads the structure that regcomp made and the text; no match is stored.
        0 == unsafe { libc::regexec(&raw const *self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: what regcomp allocated inside the structure is freed once.
        unsafe { libc::regfree(&raw mut *self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_anywhere_unless_it_is_tied() {
        let rows = [
            (c"b", c"abc", true),
            (c"^b", c"abc", false),
            (c"^(a|x)[bc]+$", c"abc", true),
            (c"d", c"abc", false),
            (c".*", c"", true),
        ];
        for (pattern, text, found) in rows {
            assert_eq!(Regex::new(pattern).unwrap().is_in(text), found, "{pattern:?} {text:?}");
        }
        assert_eq!(Regex::new(c"(").map(drop), Err(Errno::EINVAL));
    }
}
