//! The system calls of the relay, and the errors of each.

use super::phase::Phase;

/// How the relay may end because of a failing call, besides a failure to start with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayEnd {
    /// It continues.
    Never,
    /// With a message of one line and status 1: it cannot work without this call.
    WithMessage,
    /// Aborted by the allocator or the C library, as every Rust program: there is no memory, or the
    /// kernel breaks its promise.
    Aborted,
    /// The same, but only before it serves.
    AbortedAtStart,
}

impl MayEnd {
    /// What it means in this phase.
    pub(crate) fn within(self, phase: Phase) -> MayEnd {
        match (self, phase) {
            (MayEnd::AbortedAtStart, Phase::Start | Phase::HandOver) => MayEnd::Aborted,
            (MayEnd::AbortedAtStart, Phase::Serving | Phase::Shutdown) => MayEnd::Never,
            (MayEnd::Never | MayEnd::WithMessage | MayEnd::Aborted, _) => self,
        }
    }
}

/// A system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// All errors of its manual page in section 2, except aliases (`EWOULDBLOCK`, `ENOTSUP`) and
    /// those that never leave the kernel (`ERESTARTNOINTR`); after a `+`, those that the kernel
    /// returns besides (tcp(7), ip(7)).
    pub(crate) errors: &'static str,
    pub(crate) may_end: MayEnd,
}

/// A call that the relay survives.
const fn call(name: &'static str, errors: &'static str) -> Call {
    Call { name, errors, may_end: MayEnd::Never }
}

impl Call {
    const fn ends(self, may_end: MayEnd) -> Call {
        Call { may_end, ..self }
    }

    /// The names of its errors.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &'static str> {
        self.errors.split_whitespace().filter(|word| *word != "+")
    }

    /// The row of a call, if it is injected.
    pub(crate) fn find(name: &str) -> Option<&'static Call> {
        CALLS.iter().find(|call| call.name == name)
    }
}

/// The calls whose errors are injected.
pub(crate) const CALLS: &[Call] = &[
    // Accepting and connections.
    call(
        "accept4",
        "EAGAIN EBADF ECONNABORTED EFAULT EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM ENOTSOCK
         EOPNOTSUPP EPERM EPROTO + ENETDOWN EHOSTUNREACH ETIMEDOUT",
    ),
    call("getsockname", "EBADF EFAULT EINVAL ENOBUFS ENOTSOCK"),
    call("getsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK + ENOMEM"),
    call("setsockopt", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK + ENOMEM"),
    call("ioctl", "EBADF EFAULT EINVAL ENOTTY"),
    call("shutdown", "EBADF EINVAL ENOTCONN ENOTSOCK"),
    // Bytes.
    call(
        "recvfrom",
        "EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK
         + ECONNRESET ETIMEDOUT EHOSTUNREACH",
    ),
    call(
        "sendto",
        "EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE
         ENOBUFS ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE + ETIMEDOUT",
    ),
    call(
        "sendmsg",
        "EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE
         ENOBUFS ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE + ETIMEDOUT",
    ),
    call("splice", "EAGAIN EBADF EINVAL ENOMEM ESPIPE + EINTR EPIPE ECONNRESET ETIMEDOUT"),
    call("pipe2", "EFAULT EINVAL EMFILE ENFILE ENOPKG + ENOMEM"),
    call(
        "fcntl",
        "EACCES EAGAIN EBADF EBUSY EDEADLK EFAULT EINTR EINVAL EMFILE ENOLCK ENOTDIR EPERM
         + ENOMEM",
    ),
    // Events.
    call("epoll_create1", "EINVAL EMFILE ENFILE ENOMEM"),
    call("epoll_ctl", "EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM"),
    call("epoll_wait", "EBADF EFAULT EINTR EINVAL").ends(MayEnd::WithMessage),
    call("eventfd2", "EINVAL EMFILE ENFILE ENODEV ENOMEM"),
    call("signalfd4", "EBADF EINVAL EMFILE ENFILE ENODEV ENOMEM"),
    call("poll", "EFAULT EINTR EINVAL ENOMEM"),
    call("clock_nanosleep", "EFAULT EINTR EINVAL EOPNOTSUPP"),
    // Listeners, and the socket to the new process of a hand-over.
    call("socket", "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT"),
    call(
        "bind",
        "EACCES EADDRINUSE EADDRNOTAVAIL EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM
         ENOTDIR ENOTSOCK EROFS",
    ),
    call("listen", "EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP"),
    call("socketpair", "EAFNOSUPPORT EFAULT EMFILE ENFILE EOPNOTSUPP EPROTONOSUPPORT"),
    // Files.
    call(
        "openat",
        "EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR ELOOP EMFILE
         ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM
         EROFS ETXTBSY EAGAIN + EIO",
    ),
    call("close", "EBADF EDQUOT EINTR EIO ENOSPC"),
    call("read", "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR"),
    call(
        "write",
        "EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE",
    ),
    call(
        "statx",
        "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR + EIO ENOSYS",
    ),
    call(
        "newfstatat",
        "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW",
    ),
    call("readlink", "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR"),
    call(
        "unlink",
        "EACCES EBADF EBUSY EFAULT EINVAL EIO EISDIR ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR
         EPERM EROFS",
    ),
    call(
        "linkat",
        "EACCES EBADF EDQUOT EEXIST EFAULT EINVAL EIO ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM
         ENOSPC ENOTDIR EPERM EROFS EXDEV",
    ),
    call(
        "mkdir",
        "EACCES EBADF EDQUOT EEXIST EFAULT EINVAL ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC
         ENOTDIR EPERM EROFS",
    ),
    call(
        "chmod",
        "EACCES EBADF EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM EOPNOTSUPP ENOTDIR EPERM
         EROFS",
    ),
    // The process, its threads and its memory.
    call("prlimit64", "EFAULT EINVAL EPERM ESRCH"),
    // The standard library panics without random numbers for its first hash map.
    call("getrandom", "EAGAIN EFAULT EINTR EINVAL ENOSYS").ends(MayEnd::AbortedAtStart),
    call("getrusage", "EFAULT EINVAL"),
    call("uname", "EFAULT"),
    call("prctl", "EACCES EBADF EBUSY EFAULT EINVAL ENODEV ENXIO EOPNOTSUPP EPERM ERANGE"),
    call("sched_getaffinity", "EFAULT EINVAL EPERM ESRCH"),
    // The C library gives a new thread the mask that it could not read: a signal may end the process.
    call("rt_sigprocmask", "EFAULT EINVAL").ends(MayEnd::Aborted),
    call("rt_sigaction", "EFAULT EINVAL"),
    call("sigaltstack", "EFAULT EINVAL ENOMEM EPERM").ends(MayEnd::Aborted),
    call("clone3", "EACCES EAGAIN EBUSY EEXIST EINVAL ENOMEM ENOSPC EOPNOTSUPP EPERM EUSERS"),
    call(
        "execve",
        "E2BIG EACCES EAGAIN EFAULT EINVAL EIO EISDIR ELIBBAD ELOOP EMFILE ENAMETOOLONG ENFILE
         ENOENT ENOEXEC ENOMEM ENOTDIR EPERM ETXTBSY",
    ),
    call("wait4", "EAGAIN ECHILD EINTR EINVAL ESRCH"),
    call(
        "futex",
        "EACCES EAGAIN EDEADLK EFAULT EINTR EINVAL ENFILE ENOMEM ENOSYS EPERM ESRCH ETIMEDOUT",
    )
    .ends(MayEnd::Aborted),
    call("mmap", "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY")
        .ends(MayEnd::Aborted),
    call("munmap", "EINVAL ENOMEM"),
    call("mprotect", "EACCES EINVAL ENOMEM").ends(MayEnd::Aborted),
    call("madvise", "EACCES EAGAIN EBADF EBUSY EFAULT EHWPOISON EINVAL EIO ENOMEM EPERM"),
];

/// The calls whose errors are not injected, and why.
pub(crate) const NOT_INJECTED: &[(&str, &str)] = &[
    ("access", "only the dynamic loader calls it, before the program"),
    ("pread64", "only the dynamic loader calls it, before the program"),
    ("arch_prctl", "only the dynamic loader calls it, before the program"),
    ("set_tid_address", "always succeeds"),
    ("brk", "names no error; mmap fails in its place"),
    ("getpid", "always succeeds"),
    ("gettid", "always succeeds"),
    ("geteuid", "always succeeds"),
    ("getuid", "always succeeds"),
    ("set_robust_list", "of the C library, which ignores its result"),
    ("rseq", "of the C library, which ignores its result"),
    ("exit", "does not return"),
    ("exit_group", "does not return"),
    ("rt_sigreturn", "does not return"),
    ("restart_syscall", "the kernel's own"),
];
