/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PAGE_SIZE is the running kernel's, from the command line. */
