//! A service described by `OpenAPI`, exposed by `rdv expose` and used from outside as usual: tested
//! by Schemathesis, called by a generated client and by curl, while relay, agent and network are
//! interrupted.
//!
//! The service, `service.py`, is an application on `FastAPI`, a common framework; published ones
//! like httpbin have descriptions too loose to pass without failures. Skipped with a message unless
//! `tests/agents/openapi/install` was run.

mod calls;
mod returning;
mod setup;
mod streams;
