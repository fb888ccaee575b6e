#!/bin/sh
# The guest's first process: this machine's files, read-only, and a tmpfs to write to.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /mnt
chmod 1777 /mnt
sh "$COMMANDS"
echo "uml: exit status $?"
exec busybox poweroff -f
