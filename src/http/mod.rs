//! HTTP/1.x messages: bytes to values and back, strictly by RFC 9110 and RFC 9112.
