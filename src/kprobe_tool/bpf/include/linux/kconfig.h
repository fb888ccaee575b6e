/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bcc looks for this file to know that there are kernel headers. Nothing of the kernel's configuration is needed. */
#define CONFIG_BPF_SYSCALL 1
