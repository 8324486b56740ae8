//! Actions: the commands that promote and demote, how they are run and what became of them.
