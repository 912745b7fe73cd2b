//! Parts for tests: an in-memory mover, a scripted probe, and a contract suite that any mover can be run through.
