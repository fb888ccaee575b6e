"""A User Mode Linux kernel that has CHECK_FIELDS: an ordinary program. Opt-in, since it has to be built."""
