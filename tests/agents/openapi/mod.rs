//! A service described by `OpenAPI`, exposed by `rdv expose` and used from outside as such services are:
//! judged by Schemathesis, called by a generated client and by curl, while relay, agent and network
//! come and go.
//!
//! The service, `service.py`, is an application on `FastAPI`, the usual framework of such; published
//! ones like httpbin describe themselves too loosely for a verdict without failures. Without what
//! `tests/agents/openapi/install` installs nothing is checked, and that is said.

mod calls;
mod house;
mod returning;
mod streams;
