//! A crash between any two steps, for tests: after so many steps nothing goes on.

/// Counts the steps that are left.
#[derive(Debug, Default)]
pub(crate) struct Fuse {
    left: Option<u32>,
    blown: bool,
}

impl Fuse {
    /// The crash comes after so many steps.
    pub(crate) const fn light(&mut self, steps: u32) {
        self.left = Some(steps);
    }

    /// There will be no crash.
    pub(crate) const fn remove(&mut self) {
        self.left = None;
    }

    /// Whether the crash has come.
    pub(crate) const fn is_blown(&self) -> bool {
        self.blown
    }

    /// One step: whether it is still made.
    pub(crate) const fn survives(&mut self) -> bool {
        match &mut self.left {
            Some(0) => self.blown = true,
            Some(left) => *left -= 1,
            None => {}
        }
        !self.blown
    }
}
