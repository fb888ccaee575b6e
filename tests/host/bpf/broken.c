/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <kprobe_tool.h>
int nothing(void *ctx)
{
	return no_such_name;
}
