//! A bounded pool of pipes. A pipe is lent only while bytes are in flight and is returned as soon
//! as it is empty, so a few serve many transfers whose readers keep up. A pipe with leftover bytes
//! is never reused: it would hand one user's bytes to another.

use super::pipe::Pipe;

/// Maximum pipes of the full size, if the kernel limits the total: 8 of 1 MiB leave an unprivileged
/// user room for 224 of 256 KiB below the usual `fs.pipe-user-pages-soft` of 64 MiB. Many pipes of
/// middle size serve many streams better than a few large ones and many of 64 KiB.
const LARGE_MAX: usize = 8;

/// The size of the other pipes in bytes.
pub const SMALL_BYTES: usize = 256 << 10;

/// Minimum size of a pipe in bytes, the kernel's default: a smaller one is not worth a splice.
const MIN_BYTES: usize = 64 << 10;

/// Maximum idle pipes of each size that stay open.
const IDLE_MAX: usize = 64;

/// After the kernel refused a pipe, or granted a smaller one than requested, this many requests are
/// answered without trying the same again.
const REFUSALS_AFTER_FAILURE: u32 = 256;

/// What pipes a pool may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeLimits {
    /// The full size in bytes.
    pub large_bytes: usize,
    /// Maximum number.
    pub max_pipes: usize,
    /// The kernel does not limit the total size (`CAP_SYS_RESOURCE`, pipe(7)).
    pub exempt: bool,
}

impl PipeLimits {
    /// Returns how many pipes may have the full size.
    pub fn large_max(self) -> usize {
        if self.exempt { self.max_pipes } else { self.max_pipes.min(LARGE_MAX) }
    }
}

/// A pool that lends pipes.
#[derive(Debug)]
pub struct Pool {
    limits: PipeLimits,
    large: PipeStack,
    small: PipeStack,
    refusals_left: u32,
    large_refusals_left: u32,
    refused: u64,
}

/// The number of pipes, and of refused requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Pipes of the full size, including lent ones.
    pub large_open: usize,
    /// Lent pipes of the full size.
    pub large_lent: usize,
    /// Other pipes, including lent ones.
    pub small_open: usize,
    /// Lent pipes of the other size.
    pub small_lent: usize,
    /// Requests refused since start because no pipe was available.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct PipeStack {
    idle: Vec<Pipe>,
    /// Idle and lent pipes.
    open: usize,
}

impl PoolStats {
    /// Adds the numbers of another pool.
    pub fn add(&mut self, other: Self) {
        self.large_open += other.large_open;
        self.large_lent += other.large_lent;
        self.small_open += other.small_open;
        self.small_lent += other.small_lent;
        self.refused += other.refused;
    }
}

impl Pool {
    /// Creates a pool without pipes.
    pub fn new(limits: PipeLimits) -> Self {
        Self {
            limits,
            large: PipeStack::default(),
            small: PipeStack::default(),
            refusals_left: 0,
            large_refusals_left: 0,
            refused: 0,
        }
    }

    /// Returns the numbers of pipes and refusals.
    pub fn stock(&self) -> PoolStats {
        PoolStats {
            large_open: self.large.open,
            large_lent: self.large.open - self.large.idle.len(),
            small_open: self.small.open,
            small_lent: self.small.open - self.small.idle.len(),
            refused: self.refused,
        }
    }

    /// Returns how many pipes are lent.
    fn lent(&self) -> usize {
        self.stock().large_lent + self.stock().small_lent
    }

    /// Returns an empty pipe; `None` when none is available and bytes have to be copied.
    pub fn lend(&mut self) -> Option<Pipe> {
        let pipe = self.find();
        self.refused += u64::from(pipe.is_none());
        pipe
    }

    fn find(&mut self) -> Option<Pipe> {
        let large = self.large.idle.pop().or_else(|| self.open_large());
        large.or_else(|| self.small.idle.pop()).or_else(|| self.open_small())
    }

    /// Returns an empty pipe as the second one of a transfer, which can do without; `None` when half of
    /// all are lent, so that others still get their first one.
    pub fn lend_spare(&mut self) -> Option<Pipe> {
        if self.lent() < self.limits.max_pipes / 2 { self.find() } else { None }
    }

    /// Closes the idle pipes to free their descriptors.
    pub fn close_idle(&mut self) {
        for stack in [&mut self.large, &mut self.small] {
            stack.open -= stack.idle.len();
            stack.idle.clear();
        }
    }

    /// Takes a pipe back; one that still holds bytes is closed.
    pub fn take_back(&mut self, pipe: Pipe, leftover_bytes: usize) {
        let home = self.stack_of(&pipe);
        if leftover_bytes == 0 && home.idle.len() < IDLE_MAX {
            home.idle.push(pipe);
        } else {
            home.open -= 1;
        }
    }

    /// Whether the next request will probably be refused, although pipes are enabled.
    pub fn is_exhausted(&self) -> bool {
        let idle = self.large.idle.len() + self.small.idle.len();
        self.limits.max_pipes > 0 && idle == 0 && (self.is_full() || self.refusals_left > 0)
    }

    fn stack_of(&mut self, pipe: &Pipe) -> &mut PipeStack {
        if pipe.capacity_bytes() >= self.limits.large_bytes {
            &mut self.large
        } else {
            &mut self.small
        }
    }

    fn is_full(&self) -> bool {
        self.large.open + self.small.open >= self.limits.max_pipes
    }

    /// Opens a large pipe. The kernel may grant less than requested; the pipe counts by its actual
    /// size.
    fn open_large(&mut self) -> Option<Pipe> {
        if self.large.open >= self.limits.large_max() || self.is_full() {
            return None;
        }
        if self.large_refusals_left > 0 {
            self.large_refusals_left -= 1;
            return None;
        }
        let pipe = self.open(self.limits.large_bytes)?;
        if pipe.capacity_bytes() < self.limits.large_bytes {
            self.large_refusals_left = REFUSALS_AFTER_FAILURE;
        }
        self.stack_of(&pipe).open += 1;
        Some(pipe)
    }

    fn open_small(&mut self) -> Option<Pipe> {
        if self.is_full() {
            return None;
        }
        let pipe = self.open(SMALL_BYTES.min(self.limits.large_bytes))?;
        self.stack_of(&pipe).open += 1;
        Some(pipe)
    }

    fn open(&mut self, bytes: usize) -> Option<Pipe> {
        if self.refusals_left > 0 {
            self.refusals_left -= 1;
            return None;
        }
        match Pipe::open(bytes) {
            Ok(pipe) if pipe.capacity_bytes() >= MIN_BYTES.min(bytes) => Some(pipe),
            Ok(_) | Err(_) => {
                self.refusals_left = REFUSALS_AFTER_FAILURE;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(max_pipes: usize) -> Pool {
        Pool::new(PipeLimits { large_bytes: SMALL_BYTES, max_pipes, exempt: false })
    }

    #[test]
    fn pipes_have_the_full_size_where_the_kernel_does_not_limit_the_total() {
        for (exempt, large) in [(true, 10), (false, LARGE_MAX)] {
            let mut pool =
                Pool::new(PipeLimits { large_bytes: 2 * SMALL_BYTES, max_pipes: 10, exempt });
            let pipes: Vec<Pipe> = std::iter::from_fn(|| pool.lend()).collect();
            assert_eq!((pipes.len(), pool.stock().large_open), (10, large), "exempt: {exempt}");
        }
    }

    #[test]
    fn a_returned_pipe_is_lent_again() {
        let mut pool = pool(1);
        let pipe = pool.lend().unwrap();
        assert!(pool.lend().is_none(), "the limit is one");
        let stock = pool.stock();
        assert_eq!((stock.large_open, stock.large_lent, stock.refused), (1, 1, 1));
        pool.take_back(pipe, 0);
        assert_eq!(pool.lent(), 0);
        assert!(pool.lend().is_some());
    }

    #[test]
    fn a_second_pipe_is_lent_while_half_of_all_are_free() {
        let mut pool = pool(4);
        let _first = pool.lend().unwrap();
        assert!(pool.lend_spare().is_some());
        let _second = pool.lend().unwrap();
        let _third = pool.lend().unwrap();
        assert!(pool.lend_spare().is_none());
        assert_eq!(pool.stock().refused, 0, "copying is not the consequence");
    }

    #[test]
    fn idle_pipes_can_be_closed() {
        let mut pool = pool(2);
        let (kept, idle) = (pool.lend().unwrap(), pool.lend().unwrap());
        pool.take_back(idle, 0);
        pool.close_idle();
        assert_eq!(pool.lent(), 1);
        let again = pool.lend().unwrap();
        assert!(pool.lend().is_none(), "the limit still counts the one that is lent");
        pool.take_back(kept, 0);
        pool.take_back(again, 0);
    }

    #[test]
    fn a_pipe_with_leftovers_is_closed() {
        let mut pool = pool(4);
        let pipe = pool.lend().unwrap();
        pool.take_back(pipe, 1);
        assert_eq!((pool.lent(), pool.large.idle.len(), pool.large.open), (0, 0, 0));
    }

    #[test]
    fn small_pipes_as_large_as_the_large_ones_are_counted_once() {
        let mut pool = pool(LARGE_MAX + 4);
        let pipes: Vec<Pipe> = std::iter::from_fn(|| pool.lend()).collect();
        assert_eq!(pipes.len(), LARGE_MAX + 4);
        for pipe in pipes {
            pool.take_back(pipe, 1);
        }
        assert_eq!((pool.large.open, pool.small.open, pool.lent()), (0, 0, 0));
    }
}
