/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Included by bcc, which needs nothing of it. */
