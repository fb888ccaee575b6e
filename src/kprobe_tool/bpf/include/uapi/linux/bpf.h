/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bcc carries a copy of its own. */
#include <bcc/bpf.h>
