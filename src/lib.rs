//! `rdv`: a rendezvous relay. One HTTP upload meets one HTTP download, and the kernel moves the
//! bytes from socket to socket.
//!
//! The rooms of the house, each importing only from rooms below it:
//!
//! | room | promise |
//! |---|---|
//! | [`http`] | PURE: bytes to values and back, RFC 9110 and 9112 |

pub mod http;
