/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LINUX_VERSION_CODE is the running kernel's, from the command line. */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
