#!/bin/busybox sh
# The first program of the quick machine: mounts what a node has mounted, and then does what the test says on the other
# side of the second serial port.
export PATH=/bin HOME=/root
busybox mkdir -p /bin /dev /proc /sys /run /tmp /root /etc
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t sysfs sys /sys
for module in /lib/modules/*.ko*; do insmod "$module"; done
# Whoever loads this one hands the kernel its bytes.
[ -e /lib/spare/dummy.ko ] || unxz /lib/spare/dummy.ko.xz
mount -t securityfs securityfs /sys/kernel/security
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Only then does perf know groups, and has each its memory, as on any machine with an init system.
echo '+pids +memory' >/sys/fs/cgroup/cgroup.subtree_control
mount -t configfs configfs /sys/kernel/config
mkdir -p /run/cloudtaser
ln -s /proc/self/fd /dev/fd
ulimit -n 65536
ip link set lo up
exec 0<>/dev/ttyS1 1>&0
stty raw -echo
echo ready
while read -r line; do
  echo "$line" | base64 -d > /run/.command
  sh /run/.command < /dev/null > /run/.output 2>&1
  code=$?
  echo "$code $(base64 -w0 /run/.output)"
done
poweroff -f
