/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the live commands count, per CPU in a map "counters"; native/programs/live.py names them. Every call of a hook is either
 * filtered, missed or seen, every one seen is either emitted or dropped. bcc rewrites maps in the main file only, so
 * the maps are declared there.
 */
#pragma once

enum counter { FILTERED, MISSED, SEEN, EMITTED, DROPPED, COUNTERS };
